//! The hooks of both levels and the method, put into the order in which they run (feathers.md §5.1).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::{AroundHook, Hook, HookContext, HookKind, Hooks, Select};
use crate::error::{Error, Result};
use crate::service::{AnyService, Invocation, Method};

/// One chain for each method of a service.
#[derive(Default)]
pub(crate) struct Chains(HashMap<Arc<str>, Arc<[Step]>>);

/// Where a chain ends: the method itself.
type Endpoint = Arc<dyn AnyService>;

pub(crate) enum Step {
    Around(AroundHook),
    Level(Level),
    Method {
        service: Endpoint,
        /// Whether a hook may look at the data behind the method, which gets a copy of it then.
        keeps_data: bool,
    },
}

/// The before, after and error hooks of one level, already in the order in which they run.
pub(crate) struct Level {
    before: Vec<Hook>,
    after: Vec<Hook>,
    /// Those of the method, then those for all methods.
    error: [Vec<Hook>; 2],
}

/// The rest of a call, as an around hook sees it.
pub struct Next<'a>(&'a [Step]);

impl Chains {
    pub(crate) fn new(
        methods: &[Arc<str>],
        app: &Hooks,
        service: &Hooks,
        endpoint: &Endpoint,
    ) -> Self {
        let chain = |name: &Arc<str>| {
            (
                Arc::clone(name),
                steps(&Method::from(&**name), app, service, endpoint),
            )
        };
        Self(methods.iter().map(chain).collect())
    }

    /// Runs a call's hooks and its method; afterwards the context holds a result, or the call failed.
    pub(crate) async fn run(&self, context: &mut HookContext) -> Result<()> {
        let Some(steps) = self.0.get(context.method.as_str()) else {
            return Err(crate::service::unsupported(context.method.as_str()));
        };
        Next(steps).run(context).await?;
        context.kind = HookKind::Around;
        Ok(())
    }
}

impl<'a> Next<'a> {
    /// Runs the hooks further in and the method.
    ///
    /// # Errors
    /// What they failed with.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the call half-way: await it.
    pub fn run<'b>(self, context: &'b mut HookContext) -> BoxFuture<'b, Result<()>>
    where
        'a: 'b,
    {
        match self.0.split_first() {
            Some((Step::Around(hook), rest)) => hook(context, Next(rest)),
            Some((Step::Level(level), rest)) => level.run(context, Next(rest)).boxed(),
            Some((
                Step::Method {
                    service,
                    keeps_data,
                },
                _,
            )) => call_method(&**service, context, *keeps_data).boxed(),
            None => std::future::ready(Ok(())).boxed(),
        }
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Next({} steps)", self.0.len())
    }
}

impl Level {
    fn new(hooks: &Hooks, method: &Method) -> Self {
        Self {
            before: chosen(&hooks.before, method),
            after: chosen(&hooks.after, method),
            error: [Select::Only(method.clone()), Select::All]
                .map(|select| picked(&hooks.error, &select)),
        }
    }

    async fn run(&self, context: &mut HookContext, next: Next<'_>) -> Result<()> {
        match self.run_inner(context, next).await {
            Ok(()) => Ok(()),
            Err(error) => self.recover(context, error).await,
        }
    }

    async fn run_inner(&self, context: &mut HookContext, next: Next<'_>) -> Result<()> {
        run_all(&self.before, context, HookKind::Before).await?;
        next.run(context).await?;
        run_all(&self.after, context, HookKind::After).await
    }

    /// Lets error hooks see the failure: the method's own, and those for all methods if it is still one then.
    async fn recover(&self, context: &mut HookContext, mut error: Error) -> Result<()> {
        for hooks in &self.error {
            match rescue(hooks, context, error).await {
                Ok(()) => return Ok(()),
                Err(still) => error = still,
            }
        }
        Err(error)
    }
}

/// Runs error hooks; a result that one of them sets ends the failure.
async fn rescue(hooks: &[Hook], context: &mut HookContext, error: Error) -> Result<()> {
    context.error = Some(error);
    context.result = None;
    run_all(hooks, context, HookKind::Error).await?;
    match (&context.result, context.error.take()) {
        (None, Some(error)) => Err(error),
        _ => Ok(()),
    }
}

async fn run_all(hooks: &[Hook], context: &mut HookContext, kind: HookKind) -> Result<()> {
    for hook in hooks {
        context.kind = kind;
        hook(context).await?;
    }
    Ok(())
}

async fn call_method(
    service: &dyn AnyService,
    context: &mut HookContext,
    keeps_data: bool,
) -> Result<()> {
    if context.result.is_none() {
        let data = if keeps_data || context.entry().sync_context.is_some() {
            context.data.clone()
        } else {
            context.data.take()
        };
        let invocation = Invocation {
            method: &context.method,
            id: context.id.clone(),
            data: data.unwrap_or(Value::Null),
            params: &context.params,
        };
        context.result = Some(service.invoke(invocation).await?);
    }
    Ok(())
}

fn steps(method: &Method, app: &Hooks, service: &Hooks, endpoint: &Endpoint) -> Arc<[Step]> {
    let around = |hooks: &Hooks| {
        chosen(&hooks.around, method)
            .into_iter()
            .map(Step::Around)
            .collect::<Vec<_>>()
    };
    let mut steps = around(app);
    steps.push(Step::Level(Level::new(app, method)));
    steps.extend(around(service));
    steps.push(Step::Level(Level::new(service, method)));
    steps.push(Step::Method {
        service: Arc::clone(endpoint),
        keeps_data: [app, service].iter().any(|hooks| hooks.look_behind(method)),
    });
    steps.into()
}

/// Picks the hooks of a method: those for all methods first, then its own.
fn chosen<H: Clone>(hooks: &[(Select, H)], method: &Method) -> Vec<H> {
    let own = Select::Only(method.clone());
    [&Select::All, &own]
        .into_iter()
        .flat_map(|wanted| picked(hooks, wanted))
        .collect()
}

fn picked<H: Clone>(hooks: &[(Select, H)], wanted: &Select) -> Vec<H> {
    hooks
        .iter()
        .filter(|(select, _)| select == wanted)
        .map(|(_, hook)| hook.clone())
        .collect()
}
