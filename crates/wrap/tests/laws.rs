//! The laws of writing, for an OVA. Google's file is of whole GiB, too large for them: the facade's
//! tests compare what it is for one thread and for several, in a file and in a pipe.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use diskferry_block_stream::{Budget, Bytes, Cancel, Disk, Error, Plan, Progress, Result, Stamp};
use diskferry_testkit::{Model, Recorder, Texture, laws};
use diskferry_vmdk::Vmdk;
use diskferry_wrap::ova::{self, Names, Options};
use diskferry_wrap::{Candidate, Choice, Likeness, Package, Picked};

const GRAIN: u64 = 64 << 10;

fn plan(size: u64) -> Plan {
    let stamp = Stamp { uuid: [7; 16], seconds: 1_700_000_000 };
    let disk = diskferry_vmdk::plan(Some(size), &Default::default(), &stamp, Some("d.vmdk"));
    let Ok(Plan::Packed(disk)) = disk else { panic!("a streamOptimized VMDK is packed") };
    let names = Names::new(&Options::default(), Some("a.ova"));
    ova::plan(disk, size, Options::default(), names, &stamp).unwrap()
}

/// The disk, once the manifest was found right.
fn open(bytes: Arc<dyn Bytes>) -> Result<Arc<dyn Disk>> {
    let budget = Budget::default();
    let package = Package::open("a.ova", bytes, &budget)?;
    assert!(package.is_ova());
    let mut problems = Vec::new();
    package
        .check(&Cancel::default(), &Progress::default(), &mut |problem| problems.push(problem))?;
    if let Some(problem) = problems.first() {
        return Err(Error::damaged(problem.text.clone()));
    }
    let nothing = |_: &Candidate<'_>| Ok(Likeness::Unknown);
    let Picked { body: part, disks, .. } = package.disk(Choice::Only, &nothing)?;
    assert_eq!(disks.len(), 1);
    Ok(Arc::new(Vmdk::open(Arc::new(part), &budget)?))
}

/// Of whole grains, so that nothing is rounded.
fn model() -> Model {
    let parts = [
        (Texture::Noise, 3 * GRAIN),
        (Texture::Zero, 40 * GRAIN),
        (Texture::Text, 5 * GRAIN),
        (Texture::Absent, 600 * GRAIN),
        (Texture::OneByte, 2 * GRAIN),
        (Texture::Zero, 7 * GRAIN),
    ];
    Model::of(1, GRAIN, &parts)
}

#[test]
fn an_ova_passes_the_laws_of_writing() {
    for model in [model(), Model::of(2, GRAIN, &[]), Model::of(3, GRAIN, &[(Texture::Zero, GRAIN)])]
    {
        laws::writing(|| plan(model.size()), open, &model);
    }
}

#[test]
fn whatever_fails_comes_out() {
    let model = Model::of(1, GRAIN, &[(Texture::Noise, 2 * GRAIN), (Texture::Zero, 3 * GRAIN)]);
    laws::faults(|| plan(model.size()), open, &model);
}

#[test]
fn an_ova_cut_anywhere_is_damaged_or_whole() {
    let model = Model::of(1, GRAIN, &[(Texture::Text, 2 * GRAIN), (Texture::Zero, 3 * GRAIN)]);
    let recorder = Recorder::new();
    let job = diskferry_engine::Job::new(1).unwrap();
    let source = diskferry_engine::Source::Disk(&model);
    diskferry_engine::copy(source, plan(model.size()), &recorder, &Default::default(), &job)
        .unwrap();
    let file: Arc<dyn Bytes> = recorder.recorded();
    laws::truncation(&file, open, &model);
}
