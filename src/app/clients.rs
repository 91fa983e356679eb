//! A client's way through an app, from its coming to its going.

use std::sync::Arc;

use super::App;
use crate::connections::Connection;

/// The app's own code that sees clients, by what they do.
#[derive(Default)]
pub(super) struct OnClient {
    pub(super) connection: Vec<OnConnection>,
    pub(super) login: Vec<OnConnection>,
    pub(super) logout: Vec<OnConnection>,
    pub(super) disconnect: Vec<OnConnection>,
}

type OnConnection = Arc<dyn Fn(&Connection, &App) + Send + Sync>;

impl App {
    /// Says that a connection has shown who it is, which runs the code of [`on_login`](super::AppBuilder::on_login).
    ///
    /// It is for authentication, which has set what that code looks at, as the property `user`. Nothing else happens: who may
    /// hear what is up to channels (feathers.md §4.4).
    ///
    /// ```
    /// use wingbeat::hooks::RegisterHooks;
    /// use wingbeat::service::Registration;
    /// use wingbeat::{App, Memory, Method};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), wingbeat::BuildError> {
    /// // It believes whatever it is told.
    /// let sessions = Registration::new(Memory::new()).after(Method::Create, |context| {
    ///     Box::pin(async move {
    ///         if let (Some(connection), Some(session)) = (&context.params.connection, &context.result) {
    ///             connection.set_property("user", session["user"].clone());
    ///             context.app().logged_in(connection);
    ///         }
    ///         Ok(())
    ///     })
    /// });
    /// let app = App::builder()
    ///     .service("sessions", sessions)
    ///     .on_connection(|connection, app| app.channel("anonymous").join(connection))
    ///     .on_login(|connection, app| {
    ///         app.channel("anonymous").leave(connection);
    ///         app.channel("authenticated").join(connection);
    ///     })
    ///     .publish(|_, channels| channels.channel("authenticated"))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn logged_in(&self, connection: &Connection) {
        self.show(&self.0.on_client.login, connection);
    }

    /// Says that nobody knows any more who a connection is: it leaves all channels, and the code of
    /// [`on_logout`](super::AppBuilder::on_logout) runs. It stays connected; to end it,
    /// [close](Connection::close) it as [`Revoked`](crate::connections::CloseReason::Revoked).
    pub fn logged_out(&self, connection: &Connection) {
        self.0.channels.leave_all(connection);
        self.show(&self.0.on_client.logout, connection);
    }

    /// Lets the app's own code see a new connection before its first call.
    pub(crate) fn greet(&self, connection: &Connection) {
        self.show(&self.0.on_client.connection, connection);
    }

    /// Takes a connection out of everything.
    pub(crate) fn forget(&self, connection: &Connection) {
        self.0.channels.disconnect(connection);
        self.0.connections.remove(connection);
        self.show(&self.0.on_client.disconnect, connection);
    }

    fn show(&self, to: &[OnConnection], connection: &Connection) {
        to.iter().for_each(|on| on(connection, self));
    }
}
