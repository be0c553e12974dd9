//! The keys that scripts rely on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{ESP, MIB, Sparse, Table, entry, mbr};
use serde_json::{Value, json};

const SIZE: u64 = 4 * MIB;

fn to_json(disk: &Sparse) -> Value {
    serde_json::to_value(disk.inspected()).unwrap()
}

/// The keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn an_inspection_has_these_keys() {
    let mut disk = Table::new(SIZE, &[(ESP, 2048, 4095, 4, "EFI system")]).disk();
    disk.put(1024 * 1024, b"LUKS\xba\xbe\0\x01").put(SIZE - 1, b"x").put(SIZE - 512, &[0; 8]);
    let found = to_json(&disk);
    assert_eq!(
        keys(&found),
        [
            "boot",
            "content",
            "gpt",
            "mbr",
            "notes",
            "openstack",
            "partitions",
            "root",
            "sector_size",
            "size",
            "table"
        ]
    );
    assert_eq!((&found["table"], &found["sector_size"]), (&json!("gpt"), &json!(512)));
    assert_eq!(found["gpt"]["primary"], json!({"at": 512, "state": "valid"}));
    assert_eq!(found["gpt"]["backup"], json!({"at": SIZE - 512, "state": "missing"}));
    assert_eq!(
        keys(&found["gpt"]),
        [
            "backup",
            "backup_at_end",
            "disk_id",
            "entries",
            "entry_size",
            "primary",
            "sector_size",
            "usable_end",
            "usable_start"
        ]
    );
    assert_eq!(
        found["notes"],
        json!([{
            "partition": null,
            "kind": "backup_missing",
            "at": SIZE - 512,
            "text": "there is no backup GPT at 0x3ffe00",
        }])
    );
    assert_eq!(
        found["partitions"][0],
        json!({
            "number": 1,
            "start": MIB,
            "length": MIB,
            "type": {"code": ESP, "name": "EFI system"},
            "role": "efi_system",
            "name": "EFI system",
            "id": "00000000-0000-0000-d15c-fe4400000001",
            "attributes": 4,
            "active": true,
            "content": {
                "kind": "luks1",
                "label": null,
                "id": null,
                "size": null,
                "block_size": null,
                "sector_size": null,
                "version": null,
                "features": {"compat": [], "incompat": [], "ro_compat": []},
                "last_mounted": null,
                "member_of": null,
            },
        })
    );
    assert_eq!(found["openstack"], json!({"judged": true, "objections": []}));
    assert_eq!(found["boot"]["uefi"], json!({"architectures": [], "systems": []}));
    assert_eq!(
        found["boot"]["bios"],
        json!({
            "likely": false,
            "boot_code": false,
            "loader": null,
            "active": 1,
            "bios_boot": null,
        })
    );
    assert_eq!(found["root"], Value::Null);
}

#[test]
fn damage_is_told_with_its_numbers() {
    let mut disk = Table::new(SIZE, &[]).disk();
    disk.put(512 + 12, &[91]);
    let found = to_json(&disk);
    let damage = json!({"kind": "header_size", "size": 91, "sector": 512});
    assert_eq!(found["gpt"]["primary"], json!({"at": 512, "state": "damaged", "damage": damage}));
    assert_eq!(
        found["notes"][0],
        json!({
            "partition": null,
            "kind": "primary_damaged",
            "at": 512,
            "damage": damage,
            "text": "the primary GPT at 0x200 is damaged: a header of 91 bytes is not within 92 and a \
                     sector's 512",
        })
    );
}

#[test]
fn an_mbr_has_these_keys() {
    let mut disk = Sparse::new(SIZE);
    disk.put(0, &mbr(&[entry(0x83, 64, 64)]));
    let mut header = vec![0; 1024];
    header[0x38..0x3A].copy_from_slice(b"\x53\xef");
    disk.put(64 * 512 + 1024, &header);
    let found = to_json(&disk);
    assert_eq!(
        found["mbr"],
        json!({
            "disk_id": 0,
            "boot_code": false,
            "entries": [{
                "index": 0,
                "flag": 0,
                "type": {"code": "0x83", "name": "Linux"},
                "start_chs": [0xFE, 0xFF, 0xFF],
                "end_chs": [0xFE, 0xFF, 0xFF],
                "start_lba": 64,
                "sectors": 64,
            }],
        })
    );
    assert_eq!(
        found["root"],
        json!({"partition": 1, "system": "linux", "kind": "ext2", "hidden": false})
    );
}
