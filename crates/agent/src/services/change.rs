//! Objects that are written, patched and deleted: what all kinds of them have in common.

use std::sync::Arc;

use api::kind::Object;
use api::patch::{Against, Patch, PatchKind};
use api::pb::wick::v1::{DeletionPropagation, PatchType};
use api::{Asked, FieldErrors};
use engine::{Event, ObjectKey, Outcome, Propagation, Reader, Reply, WriteMode};
use tonic::{Code, Status};

use super::{Agent, key, status};

/// How often a patch is applied anew because somebody else changed the object meanwhile (as on a cluster).
const PATCH_ATTEMPTS: u32 = 5;

/// A kind that can be written and deleted.
pub(super) trait Written: Object + Clone {
    /// What refusals call it: `jobs.batch`.
    const PLURAL: &'static str;
    /// The field of a request that it comes in.
    const FIELD: &'static str;

    /// Takes one in.
    fn check(self, agent: &Agent) -> Result<Asked<Self>, FieldErrors>;

    /// The one that is stored.
    fn read(reader: &Reader, key: &ObjectKey) -> Option<Arc<Self>>;

    /// Asks the engine to store one.
    fn write(new: Box<Asked<Self>>, mode: WriteMode<Self>, dry_run: bool) -> Event;

    /// Asks the engine to delete one.
    fn delete(key: ObjectKey, uid: String, propagation: Propagation) -> Event;

    /// What the engine answers to those, if it is about one.
    fn answered(reply: Reply) -> Option<(Arc<Self>, Outcome)>;
}

/// Checks an object that was asked for; what is wrong is told with its paths.
fn check<T: Written>(agent: &Agent, object: T) -> Result<Asked<T>, Status> {
    let what = called(&object);
    object.check(agent).map_err(|errors| status::invalid(&what, &errors))
}

/// What it is called in a refusal.
fn called<T: Written>(object: &T) -> String {
    match object.metadata().map_or("", |meta| &meta.name) {
        "" => format!("the {}", T::KIND.kind),
        name => format!("{} `{name}`", T::KIND.kind),
    }
}

/// What is stored under this name.
pub(super) fn get<T: Written>(agent: &Agent, namespace: &str, name: &str) -> Result<Arc<T>, Status> {
    let key = key(namespace, name)?;
    T::read(&agent.reader, &key).ok_or_else(|| status::not_found(T::PLURAL, name))
}

/// Stores an object; it as it is then, and what people are warned of.
pub(super) async fn write<T: Written>(
    agent: &Agent,
    object: Option<T>,
    mode: WriteMode<T>,
    dry_run: bool,
) -> Result<(T, Vec<String>), Status> {
    let needed = || status::field(T::FIELD, &format!("needed; give the {}", T::KIND.kind));
    let object = object.ok_or_else(needed)?;
    let what = matches!(mode, WriteMode::Create).then(|| called(&object));
    let new = check(agent, object)?;
    let warnings = new.warnings().to_vec();
    let pending = agent.engine.send(T::write(Box::new(new), mode, dry_run));
    let reply = match what {
        Some(what) => pending.answer_about_new(&what).await?,
        None => pending.answer().await?,
    };
    let (object, _) = answered(reply)?;
    Ok((object, warnings))
}

/// The object in an answer, and what became of it.
fn answered<T: Written>(reply: Reply) -> Result<(T, Outcome), Status> {
    let answer = T::answered(reply);
    let (object, outcome) =
        answer.ok_or_else(|| Status::internal("the engine answered about something else"))?;
    Ok((Arc::unwrap_or_clone(object), outcome))
}

/// Deletes an object; it as it was, or as it is while what it owns goes.
pub(super) async fn delete<T: Written>(
    agent: &Agent,
    (namespace, name): (&str, &str),
    uid: String,
    propagation: i32,
) -> Result<T, Status> {
    let propagation = match DeletionPropagation::try_from(propagation) {
        Ok(DeletionPropagation::Unspecified | DeletionPropagation::Background) => Propagation::Background,
        Ok(DeletionPropagation::Foreground) => Propagation::Foreground,
        Ok(DeletionPropagation::Orphan) => Propagation::Orphan,
        Err(_) => {
            return Err(status::field("propagation", "not one of BACKGROUND, FOREGROUND and ORPHAN"));
        }
    };
    let key = key(namespace, name)?;
    let reply = agent.engine.send(T::delete(key, uid, propagation)).answer().await?;
    Ok(answered(reply)?.0)
}

/// What came of a patch.
pub(super) struct Patched<T> {
    pub(super) object: T,
    pub(super) warnings: Vec<String>,
    pub(super) changed: bool,
}

/// Changes what a patch says of an object.
pub(super) async fn patch<T: Written>(
    agent: &Agent,
    (namespace, name): (&str, &str),
    kind: i32,
    text: &str,
    dry_run: bool,
) -> Result<Patched<T>, Status> {
    let kind = match PatchType::try_from(kind) {
        Ok(PatchType::Unspecified | PatchType::Strategic) => PatchKind::Strategic,
        Ok(PatchType::Merge) => PatchKind::Merge,
        Ok(PatchType::Json) => PatchKind::Json,
        Err(_) => return Err(status::field("type", "not one of STRATEGIC, MERGE and JSON")),
    };
    let key = key(namespace, name)?;
    let patch = Patch::parse(kind, text).map_err(|errors| status::invalid("the patch", &errors))?;
    let mut attempts = 1;
    loop {
        match patch_once(agent, &key, &patch, dry_run).await {
            Ok(patched) => return Ok(patched),
            Err(PatchRefused::Overtaken(_)) if attempts < PATCH_ATTEMPTS => attempts += 1,
            Err(PatchRefused::Overtaken(refused) | PatchRefused::Other(refused)) => return Err(refused),
        }
    }
}

/// Applies a patch once to what the object is now.
async fn patch_once<T: Written>(
    agent: &Agent,
    key: &ObjectKey,
    patch: &Patch,
    dry_run: bool,
) -> Result<Patched<T>, PatchRefused> {
    let read = T::read(&agent.reader, key).ok_or_else(|| status::not_found(T::PLURAL, &key.name))?;
    let revised = patch.revise(&*read).map_err(|errors| status::invalid("the patch", &errors))?;
    let new = check(agent, revised.object)?;
    // Only of what the patch brings: of the rest people were warned when they wrote it.
    let known = check(agent, T::clone(&read));
    let known = known.as_ref().map_or(&[][..], |known| known.warnings());
    let warnings = new.warnings().iter().filter(|warning| !known.contains(warning)).cloned().collect();
    let mode = match revised.against {
        Against::Read => WriteMode::Revise(read),
        Against::Version | Against::Named => WriteMode::Update,
    };
    let reply = agent.engine.send(T::write(Box::new(new), mode, dry_run)).answer().await;
    let reply = reply.map_err(|refused| match refused.code() {
        Code::Aborted if revised.against != Against::Named => PatchRefused::Overtaken(refused),
        _ => PatchRefused::Other(refused),
    })?;
    let (object, outcome) = answered(reply)?;
    Ok(Patched { object, warnings, changed: outcome != Outcome::Unchanged })
}

/// Why a patch was not applied.
enum PatchRefused {
    /// Somebody else changed the object meanwhile.
    Overtaken(Status),
    Other(Status),
}

impl From<Status> for PatchRefused {
    fn from(refused: Status) -> PatchRefused {
        PatchRefused::Other(refused)
    }
}
