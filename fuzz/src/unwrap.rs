//! What is done with an input for archives and compressed files.

use std::io::{Cursor, Read};
use std::sync::{Arc, LazyLock};

use diskferry_block_stream::{
    Budget, Bytes, Cancel, Error, ErrorKind, Image, Limits, Plan, Problem, Progress, Result,
};
use diskferry_testkit::format::{STAMP, options};
use diskferry_testkit::fuzz::{Choices, Chosen, any_disk};
use diskferry_vmdk::Vmdk;
use diskferry_wrap::ova::{self, Names, Options};
use diskferry_wrap::{
    Candidate, Choice, Forward, Found, Judge, Likeness, Package, Peek, Picked, Unpacking, Wrapping,
    find_disk, list_disks, survey,
};
use packages::package;

#[path = "packages.rs"]
mod packages;

/// The input is a file, after a byte that says what is wanted of it. Whatever it is, it is refused,
/// or its disk is the same whether it is read anywhere or in order.
pub fn unwrap(input: &[u8]) {
    let Some((wanted, file)) = input.split_first() else { return };
    let mut file = file.to_vec();
    // A checksum is not guessed.
    if wanted & 1 == 1 {
        file.chunks_exact_mut(512).for_each(sum);
    }
    judge_file(*wanted, file);
}

/// The input says what is wanted, and of what the file is put together.
pub fn packages(input: &[u8]) {
    let mut choices = Choices::new(input);
    let wanted = choices.byte();
    judge_file(wanted, package(&mut choices, &DISKS));
}

/// The input is a disk, and the way it is written into an OVA.
pub fn roundtrip(input: &[u8]) {
    any_disk(input, choose, open_ova);
}

/// Options as an input chooses them.
fn choose(choices: &mut Choices<'_>) -> Chosen {
    let text = choices.pick(&[
        "",
        "adapter_type=ide,memory=4G",
        "manifest=sha1,name=a & b",
        "firmware=efi",
    ]);
    let chunk = 64 << 10;
    let plan = move |size: Option<u64>| -> Result<Plan> {
        let chosen = options(text, Options::set);
        let Some(size) = size else { return Err(Error::misuse("an OVA of unknown size")) };
        let disk = diskferry_vmdk::plan(Some(size), &Default::default(), &STAMP, Some("d.vmdk"))?;
        let Plan::Packed(disk) = disk else { panic!("a streamOptimized VMDK is packed") };
        let names = Names::new(&chosen, Some("a.ova"));
        ova::plan(disk, size, chosen, names, &STAMP)
    };
    Chosen { chunk, unit: chunk, most: chunk << 16, most_stored: 6 * chunk, plan: Box::new(plan) }
}

/// The disk, once the manifest was found right.
fn open_ova(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Box<dyn Image>> {
    let package = Package::open("a.ova", bytes, budget)?;
    assert!(package.is_ova());
    let report = &mut |problem: Problem| panic!("{}", problem.text);
    package.check(&Cancel::default(), &Progress::default(), report)?;
    let nothing = |_: &Candidate<'_>| Ok(Likeness::Unknown);
    let Picked { body: part, disks, .. } = package.disk(Choice::Only, &nothing)?;
    assert_eq!(disks.len(), 1);
    Ok(Box::new(Vmdk::open(Arc::new(part), budget)?))
}

/// Short, so that a fuzzer has many. Sparse members may be as long as they like.
static DISKS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let text = (0..2000_u32).flat_map(u32::to_le_bytes).collect();
    vec![b"a disk".to_vec(), text, Vec::new(), vec![7; 700]]
});

fn judge_file(wanted: u8, file: Vec<u8>) {
    let choice = match wanted >> 1 & 3 {
        0 => Choice::Only,
        1 => Choice::First,
        number => Choice::Number(u32::from(number) - 1),
    };
    let holes = wanted & 8 > 0;
    let anywhere = anywhere(&file, choice);
    let in_order = in_order(file, choice, holes);
    match (anywhere, in_order) {
        (Ok(Some(anywhere)), Ok(in_order)) => {
            assert!(anywhere == in_order, "two disks in one file")
        }
        // Anywhere, what is not the disk is looked at, too.
        (Err(error), Ok(disk)) if error.kind() != ErrorKind::Limit => {
            panic!("{} bytes in order, and anywhere: {error}", disk.len())
        }
        (Err(error), _) | (_, Err(error)) => refused(&error),
        _ => {}
    }
}

fn refused(error: &Error) {
    let kind = error.kind();
    let fair = [ErrorKind::Damaged, ErrorKind::Limit, ErrorKind::Misuse, ErrorKind::Unsupported];
    assert!(fair.contains(&kind), "{kind:?}: {error}");
    assert!(error.to_string().len() < 100_000, "{error}");
}

/// Puts a header's sum where it belongs.
fn sum(block: &mut [u8]) {
    if block.iter().all(|byte| *byte == 0) {
        return;
    }
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

/// Bounds on the work.
fn budget() -> Budget {
    let limits = Limits::default().with_metadata(32 << 20).with_window(WINDOW);
    limits.with_virtual_size(1 << 20).with_unpacked(4 << 20).with_members(200).budget()
}

/// What the presets of xz and zstd take, and not much more: layers come to it.
const WINDOW: u64 = 16 << 20;

/// The disk of an archive; none where the file is something else.
fn anywhere(file: &[u8], choice: Choice) -> Result<Option<Vec<u8>>> {
    if Wrapping::of(file) != Some(Wrapping::Tar) {
        return Ok(None);
    }
    let bytes: Arc<dyn Bytes> = Arc::new(file.to_vec());
    if let Err(error) = survey(&bytes, &budget(), &Cancel::default(), &Progress::default()) {
        refused(&error);
    }
    let budget = budget();
    let package = Package::open("archive", bytes, &budget)?;
    package.check(&Cancel::default(), &Progress::default(), &mut |_: Problem| {})?;
    if let Ok(Picked { disks, .. }) = package.disk(Choice::First, &judge) {
        listed_alike(file, &disks);
    }
    let Picked { body: part, disks, .. } = package.disk(choice, &judge)?;
    assert!(disks.len() <= 256 || !package.is_ova());
    budget.limits().check_virtual_size(part.len())?;
    let mut content = vec![0xee; part.len() as usize];
    part.read_at(0, &mut content)?;
    let mut at = 0;
    while at < part.len() {
        let run = part.run(at, part.len() - at)?;
        assert!((1..=part.len() - at).contains(&run.length), "{run:?} at {at}");
        let bytes = &content[at as usize..][..run.length as usize];
        assert!(!run.hole || bytes.iter().all(|byte| *byte == 0), "{run:?} at {at}");
        at += run.length;
    }
    // What it is wrapped in further is for the other way.
    Ok(Wrapping::of(&content).is_none().then_some(content))
}

/// In order, an archive has the same disks in the same order.
fn listed_alike(file: &[u8], disks: &[Found]) {
    let names = |disks: &[Found]| disks.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    match list_disks(Peek::new(Cursor::new(file.to_vec())), &in_order_judge(), &budget()) {
        Ok(listing) => assert_eq!(names(&listing.disks), names(disks)),
        Err(error) => refused(&error),
    }
}

fn judge(member: &Candidate<'_>) -> Result<Likeness> {
    Ok(match Wrapping::of(member.head) {
        Some(wrapping) => Likeness::Disk(wrapping.name()),
        None if member.head.starts_with(b"PK") => {
            Likeness::Other(Error::unsupported("a zip archive"))
        }
        None => Likeness::Unknown,
    })
}

fn in_order_judge() -> Arc<dyn Judge> {
    Arc::new(judge)
}

/// The disk under all wrappers, or the file itself.
fn in_order(file: Vec<u8>, choice: Choice, holes: bool) -> Result<Vec<u8>> {
    let budget = budget();
    let read = in_order_within(&budget, file, choice, holes);
    budget.window().widen("a window", WINDOW).expect("all windows were given back");
    read
}

fn in_order_within(
    budget: &Budget,
    file: Vec<u8>,
    mut choice: Choice,
    holes: bool,
) -> Result<Vec<u8>> {
    let mut peek = Peek::new(Cursor::new(file));
    for _ in 0..budget.limits().nesting {
        match Wrapping::of(peek.peek(Wrapping::HEAD)?) {
            None => break,
            Some(Wrapping::Packed(wrapper)) => {
                peek = Peek::new(Unpacking::new(wrapper, peek, budget));
            }
            Some(Wrapping::Tar) => {
                let inside = find_disk(peek, choice, &in_order_judge(), budget)?.body;
                budget.limits().check_virtual_size(inside.size)?;
                peek = inside.content;
                choice = Choice::First;
            }
        }
    }
    let mut content = Vec::new();
    let mut buf = vec![0xee; 5000];
    loop {
        let zeros = if holes { peek.hole()? } else { 0 };
        budget.limits().check_virtual_size((content.len() as u64).saturating_add(zeros))?;
        content.resize(content.len() + zeros as usize, 0);
        match peek.read(&mut buf)? {
            0 if zeros == 0 => return Ok(content),
            count => content.extend_from_slice(&buf[..count]),
        }
        budget.limits().check_virtual_size(content.len() as u64)?;
    }
}
