use diskferry_block_stream::ErrorKind;

use super::*;

/// What a member is: of what length, and what its bytes look like.
#[derive(Clone, Copy)]
enum Kind {
    Known,
    Large,
    Short,
    Other,
    Empty,
}

/// Members by their names and kinds.
fn tell(chooser: &mut Chooser, members: &[(&str, Kind)]) -> Vec<(Step, Option<Verdict>)> {
    let told = members.iter().map(|(name, kind)| {
        let (size, likeness) = match kind {
            Kind::Known => (512, Likeness::Disk("qcow2")),
            Kind::Large => (LIKELY, Likeness::Unknown),
            Kind::Short => (LIKELY - 1, Likeness::Unknown),
            Kind::Other => (LIKELY, Likeness::Other(Error::unsupported("a zip archive"))),
            Kind::Empty => (0, Likeness::Unknown),
        };
        let step = chooser.member(name, size);
        let judged = step == Step::Judge;
        (step, judged.then(|| chooser.judged(name, size, likeness)))
    });
    told.collect()
}

fn descriptor(disks: &[(&str, bool)]) -> Descriptor {
    let disks = disks.iter().map(|(href, in_chunks)| Listed {
        href: (*href).to_owned(),
        size: None,
        capacity: None,
        in_chunks: *in_chunks,
    });
    Descriptor { name: "vm.ovf".to_owned(), disks: disks.collect(), ..Descriptor::default() }
}

fn before(names: &[&str]) -> Vec<Member> {
    let member =
        |name: &&str| Member { name: (*name).to_owned(), size: 1, base: 0, segments: Vec::new() };
    names.iter().map(member).collect()
}

/// The names of the disks and the place of the one that is meant, as who has the whole list finds them.
fn of_all(members: &[(&str, Kind)], choice: Choice) -> Result<(Vec<String>, usize), ErrorKind> {
    let mut chooser = Chooser::all();
    tell(&mut chooser, members);
    chooser.end().map_err(|error| error.kind())?;
    let picked = choice.pick(&chooser.disks()).map_err(|error| error.kind())?;
    let names = chooser.disks().into_iter().map(|found| found.name).collect();
    Ok((names, chooser.taken()[picked].place))
}

/// The same as they are found in order, where the place is the one that began, or that was held.
fn in_order(members: &[(&str, Kind)], choice: Choice) -> Result<(Vec<String>, usize), ErrorKind> {
    let mut chooser = Chooser::of(choice);
    let told = tell(&mut chooser, members);
    chooser.end().map_err(|error| error.kind())?;
    let place = |is: Verdict| told.iter().position(|(_, verdict)| *verdict == Some(is));
    let names = chooser.disks().into_iter().map(|found| found.name).collect();
    Ok((names, place(Verdict::Begin).or(place(Verdict::Hold)).unwrap()))
}

#[test]
fn one_that_is_looked_for_is_the_one_of_all_that_is_meant() {
    use Kind::{Empty, Known, Large, Other, Short};
    let kinds = [Known, Large, Short, Other, Empty];
    let names = ["a", "b.img", "c/d", "e.json"];
    let choices = [
        Choice::Only,
        Choice::First,
        Choice::Number(0),
        Choice::Number(1),
        Choice::Number(2),
        Choice::Number(3),
    ];
    // All archives of up to four members.
    for number in 0..kinds.len().pow(4) {
        let mut left = number;
        let all = names.map(|name| {
            let kind = kinds[left % kinds.len()];
            left /= kinds.len();
            (name, kind)
        });
        for members in (0..=4).map(|count| &all[..count]) {
            for choice in choices {
                let (all, one) = (of_all(members, choice), in_order(members, choice));
                let place = |found: &Result<(Vec<String>, usize), ErrorKind>| {
                    found.as_ref().map(|(_, place)| *place).map_err(|kind| *kind)
                };
                assert_eq!(place(&all), place(&one), "{number}, {choice:?}");
                if choice == Choice::Only {
                    assert_eq!(all, one, "{number}");
                }
            }
        }
    }
}

#[test]
fn what_speaks_against_a_disk_is_told_where_there_is_no_other() {
    let mut chooser = Chooser::all();
    tell(&mut chooser, &[("a", Kind::Other), ("b", Kind::Other)]);
    let error = chooser.end().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("'a' is a zip archive"), "{error}");
}

#[test]
fn in_order_a_descriptor_comes_before_its_disk_or_agrees() {
    let (ovf, a, b) = (("vm.ovf", Kind::Short), ("a", Kind::Large), ("b", Kind::Short));
    let chosen = |choice, first: &[(&str, Kind)], listed: &[(&str, bool)]| {
        let mut chooser = Chooser::of(choice);
        tell(&mut chooser, first);
        assert_eq!(tell(&mut chooser, &[ovf]), [(Step::Describe, None)]);
        let names: Vec<&str> = first.iter().map(|(name, _)| *name).collect();
        chooser.described(descriptor(listed), &before(&names)).map(|()| chooser)
    };
    // In time: all that is not the disk is passed over, whatever it is.
    let mut chooser =
        chosen(Choice::Number(2), &[("x", Kind::Short)], &[("b", false), ("a", false)]).unwrap();
    assert!(!chooser.may_have_more());
    let told = tell(&mut chooser, &[b, ovf, a, b]);
    let [pass, begin] = [Step::Pass, Step::Begin].map(|step| (step, None));
    assert_eq!(told, [pass, pass, begin, pass]);
    chooser.end().unwrap();
    assert_eq!(chooser.disks().len(), 2);
    // Behind the disk.
    for choice in [Choice::Only, Choice::First] {
        chosen(choice, &[a], &[("a", false)]).unwrap().end().unwrap();
    }
    // Too late, whatever the disk looked like; and what cannot be had in order.
    for (choice, first, listed) in [
        (Choice::Only, &[a, b][..], &[("b", false)][..]),
        (Choice::Only, &[b], &[("b", false)]),
        (Choice::Only, &[("b", Kind::Other)], &[("b", false)]),
        (Choice::Only, &[("b", Kind::Empty)], &[("b", false)]),
        (Choice::Only, &[("b.txt", Kind::Large)], &[("b.txt", false)]),
        (Choice::Number(2), &[a], &[("b", false), ("a", false)]),
        (Choice::Number(1), &[a], &[("a", false)]),
        (Choice::Only, &[], &[("a", true)]),
        (Choice::Only, &[a], &[("a", true)]),
    ] {
        let error = chosen(choice, first, listed).err().unwrap();
        assert!(NotInOrder::is_cause_of(&error), "{error}");
    }
    // What never comes is damage.
    let mut chooser = chosen(Choice::Only, &[], &[("a", false)]).unwrap();
    assert_eq!(chooser.end().unwrap_err().kind(), ErrorKind::Damaged);
    // Who wants all of them minds none of it.
    let mut chooser = Chooser::all();
    tell(&mut chooser, &[a, ovf]);
    chooser.described(descriptor(&[("a", false), ("b", true)]), &before(&["a"])).unwrap();
    chooser.end().unwrap();
    assert_eq!(chooser.disks().len(), 2);
}
