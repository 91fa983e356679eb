//! The hooks of both levels and the method, put into the order in which they run (feathers.md §5.1).

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::{AroundHook, Hook, HookContext, HookKind, Hooks, Select};
use crate::error::{Error, Result};
use crate::service::{AnyService, Invocation, Method, TextCall};

/// One chain for each method of a service, which mostly has few.
#[derive(Default)]
pub(crate) struct Chains(Vec<(Arc<str>, Arc<[Step]>)>);

/// Where a chain ends: the method itself.
pub(crate) struct Endpoint {
    service: Arc<dyn AnyService>,
    /// Whether a hook may look at the data behind the method, which gets a copy of it then.
    keeps_data: bool,
    /// Whether the service has the answer as text, and no hook looks at it.
    passes_on: bool,
}

pub(crate) enum Step {
    Around(AroundHook),
    Level(Level),
    Method(Endpoint),
}

/// Before, after and error hooks of one level that belong together, in the order in which they run.
pub(crate) struct Level {
    before: Vec<Hook>,
    after: Vec<Hook>,
    error: Vec<Hook>,
}

/// The rest of a call, as an around hook sees it.
pub struct Next<'a>(&'a [Step]);

impl Chains {
    pub(crate) fn new(
        methods: &[Arc<str>],
        app: &Hooks,
        service: &Hooks,
        endpoint: &Arc<dyn AnyService>,
    ) -> Self {
        let chain = |name: &Arc<str>| {
            (
                Arc::clone(name),
                steps(&Method::from(&**name), app, service, endpoint),
            )
        };
        Self(methods.iter().map(chain).collect())
    }

    fn of(&self, method: &str) -> Option<&[Step]> {
        let mut chains = self.0.iter();
        let found = chains.find(|(name, _)| **name == *method);
        found.map(|(_, steps)| &**steps)
    }

    /// Tells whether no hook looks at the data of a method, nor at its result, and the service takes both as text.
    pub(crate) fn pass_text(&self, method: &str) -> bool {
        let steps = self.of(method);
        steps.is_some_and(|steps| matches!(steps, [Step::Method(endpoint)] if endpoint.passes_on))
    }

    /// Runs a call's hooks and its method; afterwards the context holds a result, or the call failed.
    pub(crate) async fn run(&self, context: &mut HookContext) -> Result<()> {
        let Some(steps) = self.of(context.method.as_str()) else {
            return Err(crate::service::unsupported(context.method.as_str()));
        };
        match steps {
            // Most have no hooks, and need no box.
            [Step::Method(endpoint)] => endpoint.call(context).await?,
            steps => Next(steps).run(context).await?,
        }
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
            Some((Step::Method(endpoint), _)) => endpoint.call(context).boxed(),
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
    /// Makes the parts of a level, the outermost first. An error hook sees what fails further in, so those of the method do not
    /// see the before hooks for all methods.
    fn parts(hooks: &Hooks, method: &Method) -> impl Iterator<Item = Self> {
        let all = |hooks| picked(hooks, &Select::All);
        let own = |hooks| picked(hooks, &Select::Only(method.clone()));
        let parts = [
            (all(&hooks.before), Vec::new(), all(&hooks.error)),
            (own(&hooks.before), own(&hooks.after), own(&hooks.error)),
            (Vec::new(), all(&hooks.after), Vec::new()),
        ];
        let parts = parts.map(|(before, after, error)| Self {
            before,
            after,
            error,
        });
        parts.into_iter().filter(|part| !part.is_empty())
    }

    fn is_empty(&self) -> bool {
        [&self.before, &self.after, &self.error]
            .iter()
            .all(|hooks| hooks.is_empty())
    }

    async fn run(&self, context: &mut HookContext, next: Next<'_>) -> Result<()> {
        match self.run_inner(context, next).await {
            Err(error) if !self.error.is_empty() => rescue(&self.error, context, error).await,
            ran => ran,
        }
    }

    async fn run_inner(&self, context: &mut HookContext, next: Next<'_>) -> Result<()> {
        run_all(&self.before, context, HookKind::Before).await?;
        next.run(context).await?;
        run_all(&self.after, context, HookKind::After).await
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

impl Endpoint {
    async fn call(&self, context: &mut HookContext) -> Result<()> {
        if context.result.is_some() {
            return Ok(());
        }
        if self.passes_on && context.takes_text() {
            let call = TextCall {
                method: context.method.clone(),
                id: context.id.clone(),
                data: context.given_text(self.keeps_data),
            };
            context.text = Some(self.service.text(call, &context.params).await?);
        } else {
            let invocation = Invocation {
                data: context.given_data(self.keeps_data).unwrap_or(Value::Null),
                method: &context.method,
                id: context.id.clone(),
                params: &context.params,
            };
            context.result = Some(self.service.invoke(invocation).await?);
        }
        Ok(())
    }
}

fn steps(
    method: &Method,
    app: &Hooks,
    service: &Hooks,
    endpoint: &Arc<dyn AnyService>,
) -> Arc<[Step]> {
    let around = |hooks| chosen(hooks, method).map(Step::Around);
    let level = |hooks| Level::parts(hooks, method).map(Step::Level);
    around(&app.around)
        .chain(level(app))
        .chain(around(&service.wrap))
        .chain(around(&service.around))
        .chain(level(service))
        .chain([Step::Method(Endpoint {
            service: Arc::clone(endpoint),
            keeps_data: [app, service].iter().any(|hooks| hooks.look_behind(method)),
            passes_on: endpoint.has_text(method.as_str())
                && ![app, service].iter().any(|hooks| hooks.see_result(method)),
        })])
        .collect()
}

/// Picks the hooks of a method: those for all methods first, then its own.
fn chosen<H: Clone>(hooks: &[(Select, H)], method: &Method) -> impl Iterator<Item = H> {
    let both = [Select::All, Select::Only(method.clone())].map(|wanted| picked(hooks, &wanted));
    both.into_iter().flatten()
}

fn picked<H: Clone>(hooks: &[(Select, H)], wanted: &Select) -> Vec<H> {
    let picked = hooks.iter().filter(|(select, _)| select == wanted);
    picked.map(|(_, hook)| hook.clone()).collect()
}
