//! Hooks that the configuration has for many jobs. What a hook is, the model says.

use clawhook_model::{DefinitionError, GlobalHook, GlobalHooks, HookStage};

use super::block::{Block, Written};
use super::destinations::json;
use super::document::{Node, range};
use super::keys::{Absent, Default, Documented, Key};
use super::problem::Findings;
use super::setting::{Complaint, Setting, unexpected};

/// The hooks of one stage.
#[derive(Debug, Clone)]
pub(super) struct HookList(Vec<GlobalHook>);

/// How many hooks a stage may have.
const MOST: usize = 64;

impl Setting for HookList {
    type Form = HookStage;

    // A hook's variables hold secrets.
    const PUBLIC: bool = false;

    fn read(node: &Node<'_>, stage: &HookStage) -> Result<Self, Vec<Complaint>> {
        let list = node.as_array().ok_or_else(|| vec![unexpected::<Self>(node, stage)])?;
        if list.elements.len() > MOST {
            let message = format!("has {} hooks, at most {MOST} are allowed", list.elements.len());
            return Err(vec![Complaint::new(range(node), message)]);
        }
        let (mut hooks, mut complaints) = (Vec::<GlobalHook>::new(), Vec::new());
        for (place, element) in list.elements.iter().enumerate() {
            let part = format!("[{place}]");
            match hook(element, *stage, place) {
                Ok(twin) if hooks.iter().any(|hook| hook.hook.name == twin.hook.name) => {
                    let message = format!("has the name `{}`, which another hook has", twin.hook.name);
                    complaints.push(Complaint::new(range(element), message).in_part(&part));
                }
                Ok(hook) => hooks.push(hook),
                Err(complaint) => complaints.push(complaint.in_part(&part)),
            }
        }
        if complaints.is_empty() { Ok(Self(hooks)) } else { Err(complaints) }
    }

    fn expected(_: &HookStage) -> String {
        "a list of hooks".to_owned()
    }

    fn documented(_: &HookStage) -> String {
        "a list of [hooks](job-hooks.md#for-many-jobs)".to_owned()
    }
}

fn hook(element: &Node<'_>, stage: HookStage, place: usize) -> Result<GlobalHook, Complaint> {
    GlobalHook::parse(json(element)?, stage, place).map_err(|error| complaint(element, stage, &error))
}

fn complaint(element: &Node<'_>, stage: HookStage, error: &DefinitionError) -> Complaint {
    // The model names fields as they stand in a job.
    let message = error.to_string().replace(&format!("hooks.{stage}."), "");
    let complaint = Complaint::new(range(element), format!("is no hook: {message}"));
    match error.hint() {
        Some(hint) => complaint.with_hint(hint),
        None => complaint,
    }
}

/// `cron.hooks` as it was written.
#[derive(Default)]
pub(super) struct RawJobHooks {
    stages: Vec<(HookStage, Option<Written<HookList>>)>,
    at_once: Option<Written<usize>>,
}

/// `cron.hooks`.
#[derive(Debug, Clone)]
pub struct JobHooksConfig {
    /// The hooks.
    pub hooks: GlobalHooks,
    /// How many of those that follow runs go on at once.
    pub at_once: usize,
}

impl RawJobHooks {
    pub(super) fn read(mut block: Block<'_>, findings: &mut Findings) -> Self {
        let stages = STAGES.iter().map(|key| (key.form, block.key(*key, findings))).collect();
        let raw = Self { stages, at_once: block.key(&MAX_CONCURRENT, findings) };
        block.finish(findings);
        raw
    }

    pub(super) fn resolve(self) -> JobHooksConfig {
        let mut hooks = Vec::new();
        for (stage, written) in self.stages {
            let list = written.map(|written| written.value.0).unwrap_or_default();
            hooks.extend(list.into_iter().map(|hook| (stage, hook)));
        }
        let at_once = MAX_CONCURRENT.or_default(self.at_once);
        JobHooksConfig { hooks: GlobalHooks::new(hooks), at_once }
    }
}

/// Every key of the block.
pub(super) static ALL: &[&dyn Documented] =
    &[&PRE, &POST, &ON_ERROR, &ALWAYS, &PRE_CREATE, &POST_CREATE, &MAX_CONCURRENT];

/// The key of each stage.
static STAGES: [&Key<HookList, Absent>; 6] = [&PRE, &POST, &ON_ERROR, &ALWAYS, &PRE_CREATE, &POST_CREATE];

static PRE: Key<HookList, Absent> = Key {
    path: "cron.hooks.pre",
    form: HookStage::Pre,
    default: Absent("none"),
    meaning: "Gates that are asked before each run of the jobs that they are for.",
};

static POST: Key<HookList, Absent> = Key {
    path: "cron.hooks.post",
    form: HookStage::Post,
    default: Absent("none"),
    meaning: "Told after runs that succeeded.",
};

static ON_ERROR: Key<HookList, Absent> = Key {
    path: "cron.hooks.onError",
    form: HookStage::OnError,
    default: Absent("none"),
    meaning: "Told after runs that failed.",
};

static ALWAYS: Key<HookList, Absent> = Key {
    path: "cron.hooks.always",
    form: HookStage::Always,
    default: Absent("none"),
    meaning: "Told after every run, also where a gate refused it.",
};

static PRE_CREATE: Key<HookList, Absent> = Key {
    path: "cron.hooks.preCreate",
    form: HookStage::PreCreate,
    default: Absent("none"),
    meaning: "Gates that are asked before a job is added or edited, and may refuse it.",
};

static POST_CREATE: Key<HookList, Absent> = Key {
    path: "cron.hooks.postCreate",
    form: HookStage::PostCreate,
    default: Absent("none"),
    meaning: "Told after a job was added or edited.",
};

/// How many hooks that follow runs go on at once.
static MAX_CONCURRENT: Key<usize, Default<usize>> = Key {
    path: "cron.hooks.maxConcurrent",
    form: 1..=64,
    default: || 4,
    meaning: "How many commands and turns of hooks that follow runs go on at a time; further ones wait.",
};
