//! One crowd: so many connections in so many channels, and what it costs that they come and go.

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::thread::park_timeout;
use std::time::Duration;

use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use wingbeat::App;
use wingbeat::benching::Client;
use wingbeat::connections::Connection;

use crate::Outcome;

/// How many come and go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) connections: usize,
    pub(crate) channels: usize,
}

/// Nanoseconds of each join, each leave and each disconnect, and of removing an entry of a bare map.
pub(crate) type Costs = [f64; 4];

/// Channels of each connection.
pub(crate) const IN_CHANNELS: usize = 10;

impl Crowd {
    /// Lets all come, leave one channel each, and go.
    pub(crate) fn measure(&self) -> Outcome<Costs> {
        let (app, came) = app()?;
        let mut clients: Vec<Client> = (0..self.connections)
            .map(|_| Client::connect(&app))
            .collect();
        let connections = std::mem::take(&mut *came.lock());
        let names: Vec<String> = (0..self.channels).map(|at| format!("room-{at}")).collect();
        let mut memberships: Vec<_> = self.memberships().collect();
        let mut rng = SmallRng::seed_from_u64(1);
        memberships.shuffle(&mut rng);
        clients.shuffle(&mut rng);
        let channel = |at: usize| app.channel(&names[at]);

        let join = nanos_of_each(&memberships, |&(connection, at)| {
            channel(at).join(&connections[connection]);
        })?;
        self.check(&app, memberships.len())?;
        let left = &memberships[..self.connections];
        let leave = nanos_of_each(left, |&(connection, at)| {
            channel(at).leave(&connections[connection]);
        })?;
        self.check(&app, memberships.len() - left.len())?;
        for &(connection, at) in left {
            channel(at).join(&connections[connection]);
        }
        drop(connections);
        let disconnect = nanos_of_each(clients, drop)?;
        self.check(&app, 0)?;
        Ok([join, leave, disconnect, bare(&memberships)?])
    }

    /// Names the channels of each connection, as many in each.
    fn memberships(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.connections * IN_CHANNELS).map(move |at| (at / IN_CHANNELS, at % self.channels))
    }

    /// Fails when the channels have not that many members together.
    fn check(&self, app: &App, expected: usize) -> Outcome<()> {
        let names = app.channels().names();
        let found: usize = names.iter().map(|name| app.channel(name).len()).sum();
        if found == expected && (expected > 0 || names.is_empty() && app.n_connections() == 0) {
            return Ok(());
        }
        Err(format!("instead of {expected} memberships there are {found} ({self:?})").into())
    }
}

/// Makes an app that notes who connects.
fn app() -> Outcome<(App, Arc<Mutex<Vec<Connection>>>)> {
    let came = Arc::<Mutex<Vec<Connection>>>::default();
    let noted = Arc::clone(&came);
    let app = App::builder()
        .on_connection(move |connection, _| noted.lock().push(connection.clone()))
        .build()?;
    Ok((app, came))
}

fn bare(memberships: &[(usize, usize)]) -> Outcome<f64> {
    let mut map: HashMap<_, _> = memberships
        .iter()
        .map(|membership| (*membership, ()))
        .collect();
    nanos_of_each(memberships, |membership| {
        black_box(map.remove(membership));
    })
}

fn nanos_of_each<T>(items: impl IntoIterator<Item = T>, mut act: impl FnMut(T)) -> Outcome<f64> {
    let (before, mut n) = (cpu_nanos()?, 0_u32);
    for item in items {
        act(item);
        n += 1;
    }
    Ok((cpu_nanos()? - before) / f64::from(n))
}

/// Returns the CPU time of this thread, which does not grow while others have the processor. The kernel brings the figure up
/// to date when the thread rests.
fn cpu_nanos() -> Outcome<f64> {
    park_timeout(Duration::from_micros(1));
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat.split(' ').next().ok_or("an empty schedstat")?;
    Ok(nanos.parse()?)
}
