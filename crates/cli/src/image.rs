//! `wick image`: puts images on the device, and takes them away.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use api::pb::wick::v1::image_service_push_request::Part;
use api::pb::wick::v1::{
    Image, ImagePushHeader, ImageServiceDeleteRequest, ImageServiceInspectRequest, ImageServicePushRequest,
    ImageServicePushResponse, NodeServiceGetRequest,
};
use bytes::Bytes;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::clock::Clock;
use crate::columns::{self, Shown};
use crate::describe::image_page;
use crate::failure::{Failure, tell};
use crate::kind::Kind;
use crate::objects::{self, missing};
use crate::output::print;
use crate::screen::Screen;
use crate::session::{Global, Session};
use crate::table::{Widths, size};

/// How many bytes are sent in one piece.
const PIECE: usize = 1 << 20;
/// How many pieces may wait to be sent.
const WAITING_PIECES: usize = 2;
/// Pushing a file of so many bytes takes long enough to show how far it is.
const LARGE: u64 = 8 << 20;
/// The longest name made from a file's, in bytes; a tag and a digest still fit behind it.
const NAME_MAX: usize = 100;

const EXAMPLES: &str = "\
Examples:
  wick image push target/wasm32-wasip1/release/hello.wasm hello:1.2
  wick image ls
  wick image inspect hello:1.2
  wick image rm hello:1.2";

/// Pushes, lists, inspects and removes images
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ImageCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Puts a WASI module or component, binary or as .wat text, on the device
    Push {
        /// The file
        file: PathBuf,
        /// The name to give it, such as hello or hello:1.2 [default: the file's]
        name: Option<String>,
    },
    /// Lists images
    #[command(visible_alias = "list")]
    Ls,
    /// Says everything about an image: its names, exports and imports
    Inspect {
        /// A name, or sha256:…
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Forgets a name; the last name takes the image's bytes with it
    #[command(visible_alias = "remove")]
    Rm {
        /// A name, or sha256:… for all names of these bytes
        #[arg(required = true)]
        names: Vec<String>,
    },
}

impl ImageCommand {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self.verb {
            Verb::Push { file, name } => {
                let image = LocalImage::find(&file).map_err(|error| Failure::file(&file, &error))?;
                let name = name.unwrap_or_else(|| image.name());
                let session = global.connect().await?;
                let pushed = push(&session, &image, &name).await?;
                let stored = pushed.image.unwrap_or_default();
                let what = if pushed.created { "pushed" } else { "already there" };
                print(&format!("image/{} {what}: {}\n", shown_name(&stored), stored.digest))
            }
            Verb::Ls => {
                let session = global.connect().await?;
                let images = objects::list(&session.agent, Kind::Image, Default::default()).await?;
                if images.is_empty() {
                    tell("No resources found");
                    return Ok(());
                }
                let table = columns::table(Kind::Image, &images, Shown::default(), Clock::read().now);
                print(&table.text(true, &mut Widths::default(), Screen::stdout()))
            }
            Verb::Inspect { names } => {
                let session = global.connect().await?;
                let mut pages = Vec::new();
                for name in &names {
                    pages.push(image_page(&session, name).await?);
                }
                print(&pages.join("\n\n"))
            }
            Verb::Rm { names } => {
                let session = global.connect().await?;
                let mut all_done = true;
                for name in &names {
                    match remove(&session, name).await {
                        Ok(gone) => print(&gone)?,
                        Err(failure @ Failure::Refused(_)) => {
                            failure.tell();
                            all_done = false;
                        }
                        Err(failure) => return Err(failure),
                    }
                }
                if all_done { Ok(()) } else { Err(Failure::Said) }
            }
        }
    }
}

fn shown_name(image: &Image) -> &str {
    if image.name.is_empty() { &image.digest } else { &image.name }
}

/// Forgets an image's name; says which names went.
pub(crate) async fn remove(session: &Session, name: &str) -> Result<String, Failure> {
    match session.agent.images().delete(ImageServiceDeleteRequest { name: name.to_owned() }).await {
        Ok(deleted) => {
            let names = deleted.into_inner().names;
            if names.is_empty() {
                return Ok(format!("image \"{name}\" deleted\n"));
            }
            Ok(names.iter().map(|name| format!("image \"{name}\" deleted\n")).collect())
        }
        Err(status) if status.code() == Code::NotFound => {
            Err(missing(&session.agent, Kind::Image, &session.namespace, name).await)
        }
        Err(status) => Err(status.into()),
    }
}

/// A file that is to become an image.
#[derive(Clone, Debug)]
pub(crate) struct LocalImage {
    path: PathBuf,
    size: u64,
}

impl LocalImage {
    /// Looks whether there is such a file; it is read only when its bytes are needed.
    pub(crate) fn find(path: &Path) -> io::Result<LocalImage> {
        let file = File::open(path)?.metadata()?;
        if file.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !file.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(LocalImage { path: path.to_owned(), size: file.len() })
    }

    /// `sha256:…` of its bytes as they are.
    pub(crate) fn digest(&self) -> Result<String, Failure> {
        self.try_digest().map_err(|error| Failure::file(&self.path, &error))
    }

    fn try_digest(&self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece)? {
                0 => break,
                read => hash.update(&piece[..read]),
            }
        }
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("sha256:{digits}"))
    }

    /// The name that an image from this file gets if nobody names it.
    pub(crate) fn name(&self) -> String {
        let stem =
            self.path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
        let mut name = String::new();
        for char in stem.chars().take(NAME_MAX) {
            let fits = char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '.' | '_' | '-');
            name.push(if fits { char } else { '-' });
        }
        match name.trim_matches(['.', '_', '-']) {
            "" => "image".to_owned(),
            name => name.to_owned(),
        }
    }
}

/// Pushes `image` under `name`. What is there already under that name is not sent again.
pub(crate) async fn push(
    session: &Session,
    image: &LocalImage,
    name: &str,
) -> Result<ImageServicePushResponse, Failure> {
    if image.size >= LARGE {
        too_large(session, image).await?;
    }
    let digest = image.digest()?;
    if let Some(stored) = stored(session, &digest, name).await? {
        return Ok(ImageServicePushResponse { image: Some(stored), created: false });
    }
    let file = File::open(&image.path).map_err(|error| Failure::file(&image.path, &error))?;
    let (sender, pieces) = mpsc::channel(WAITING_PIECES);
    let header = ImagePushHeader { name: name.to_owned(), size_bytes: image.size, digest };
    let bar = bar(image);
    let mut images = session.agent.images();
    let (pushed, sent) =
        tokio::join!(images.push(ReceiverStream::new(pieces)), send(header, file, sender, &bar));
    bar.finish_and_clear();
    // A file that cannot be read to its end is why the agent refuses what it got of it.
    sent.map_err(|error| Failure::file(&image.path, &error))?;
    match pushed {
        Ok(pushed) => Ok(pushed.into_inner()),
        Err(status) if matches!(status.code(), Code::InvalidArgument | Code::ResourceExhausted) => {
            let path = image.path.display().to_string();
            let known = status.message().contains(&path);
            let what =
                if known { status.message().to_owned() } else { format!("{path}: {}", status.message()) };
            Err(Failure::refused(what))
        }
        Err(status) => Err(status.into()),
    }
}

/// Says that an image is larger than the agent takes, before all of it is read.
async fn too_large(session: &Session, image: &LocalImage) -> Result<(), Failure> {
    let node =
        session.agent.node().get(NodeServiceGetRequest {}).await?.into_inner().node.unwrap_or_default();
    if node.max_image_bytes > 0 && image.size > node.max_image_bytes {
        let (has, most) = (size(image.size), size(node.max_image_bytes));
        return Err(Failure::refused(format!("{}: {has} is too large for an image", image.path.display()))
            .hint(format!("the most this agent takes is {most} (wickd --max-image-mib)")));
    }
    Ok(())
}

/// The image on the device, if these very bytes are there under this very name.
async fn stored(session: &Session, digest: &str, name: &str) -> Result<Option<Image>, Failure> {
    let request = ImageServiceInspectRequest { name: digest.to_owned() };
    let inspected = match session.agent.images().inspect(request).await {
        Ok(inspected) => inspected.into_inner(),
        Err(status) if status.code() == Code::NotFound => return Ok(None),
        Err(status) => return Err(status.into()),
    };
    let tagged = format!("{name}:latest");
    let known = inspected.names.iter().find(|known| *known == name || **known == tagged);
    Ok(known.map(|known| Image { name: known.clone(), ..inspected.image.clone().unwrap_or_default() }))
}

async fn send(
    header: ImagePushHeader,
    mut file: File,
    sender: mpsc::Sender<ImageServicePushRequest>,
    bar: &ProgressBar,
) -> io::Result<()> {
    let mut part = Part::Header(header);
    loop {
        if sender.send(ImageServicePushRequest { part: Some(part) }).await.is_err() {
            return Ok(()); // The agent has said no already.
        }
        // Reading blocks, and may: nothing else goes on here.
        let mut piece = Vec::with_capacity(PIECE);
        let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        bar.inc(read as u64);
        part = Part::Chunk(Bytes::from(piece));
    }
}

/// How far a push is, where somebody looks at it for long enough.
fn bar(image: &LocalImage) -> ProgressBar {
    if image.size < LARGE || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(image.size);
    if let Ok(style) = ProgressStyle::with_template(
        "{prefix} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}",
    ) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(image.name());
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::reason;
    use expect_test::{Expect, expect};

    #[test]
    fn an_image_is_called_as_its_file() {
        check("target/hello.wasm", expect!["hello"]);
        check("Hello World.wasm", expect!["hello-world"]);
        check("hello_component.v1.wat", expect!["hello_component.v1"]);
        check("_größe_.wasm", expect!["gr--e"]);
        check("--.wasm", expect!["image"]);
        assert_eq!(local(&"a".repeat(300)).name().len(), NAME_MAX);
    }

    #[test]
    fn its_name_is_one_the_agent_takes() {
        for path in ["target/hello.wasm", "Hello World.wasm", "_größe_.wasm", "--.wasm", &"é-".repeat(200)]
        {
            let pinned = format!("{}@sha256:{}", local(path).name(), "0a".repeat(32));
            assert!(api::image_ref::ImageRef::parse(&pinned).is_ok(), "{pinned}");
        }
    }

    #[test]
    fn a_file_is_known_by_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        std::fs::write(&path, "abc").unwrap();
        let image = LocalImage::find(&path).unwrap();
        assert_eq!(image.size, 3);
        expect!["sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]
            .assert_eq(&image.digest().unwrap());
    }

    #[test]
    fn only_a_file_is_an_image() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(reason(&LocalImage::find(dir.path()).unwrap_err()), "is a directory");
        assert_eq!(reason(&LocalImage::find(Path::new("/dev/null")).unwrap_err()), "not a regular file");
        assert_eq!(
            reason(&LocalImage::find(&dir.path().join("a")).unwrap_err()),
            "no such file or directory"
        );
    }

    fn local(path: &str) -> LocalImage {
        LocalImage { path: path.into(), size: 0 }
    }

    fn check(path: &str, wanted: Expect) {
        wanted.assert_eq(&local(path).name());
    }
}
