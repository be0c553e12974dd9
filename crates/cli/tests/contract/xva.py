"""Exports a machine as xapi does: xva.py KIND TARGET DEVICE=DISK...

KIND is 'checksum' (SHA-1), 'xxhash' or 'none'; 'alive' is xxhash with blocks of no bytes in between. A disk may be
DEVICE=DISK@SNAPSHOT. Written after "The XenServer VM import/format" of xen-api, with nothing of diskferry in it.
"""

import hashlib
import io
import struct
import sys
import tarfile

BLOCK = 1 << 20
P1, P2, P3, P4, P5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
MASK = (1 << 64) - 1


def rotated(value, by):
    return ((value << by) | (value >> (64 - by))) & MASK


def rounded(total, word):
    return rotated((total + word * P2) & MASK, 31) * P1 & MASK


def xxh64(data):
    """As its specification has it (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), of seed 0."""
    at = len(data) // 32 * 32
    total = P5
    if at:
        sums = [(P1 + P2) & MASK, P2, 0, -P1 & MASK]
        for words in struct.iter_unpack("<4Q", data[:at]):
            sums = [rounded(one, word) for one, word in zip(sums, words)]
        total = sum(rotated(one, by) for one, by in zip(sums, (1, 7, 12, 18))) & MASK
        for one in sums:
            total = ((total ^ rounded(0, one)) * P1 + P4) & MASK
    total = (total + len(data)) & MASK
    while at + 8 <= len(data):
        (word,) = struct.unpack_from("<Q", data, at)
        total = (rotated(total ^ rounded(0, word), 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= len(data):
        (word,) = struct.unpack_from("<L", data, at)
        total = (rotated(total ^ (word * P1 & MASK), 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        total = rotated(total ^ (byte * P5 & MASK), 11) * P1 & MASK
    total = (total ^ (total >> 33)) * P2 & MASK
    total = (total ^ (total >> 29)) * P3 & MASK
    return total ^ (total >> 32)


def value(it):
    if isinstance(it, dict):
        members = "".join(f"<member><name>{name}</name>{value(it)}</member>" for name, it in it.items())
        return f"<value><struct>{members}</struct></value>"
    if isinstance(it, list):
        return f"<value><array><data>{''.join(map(value, it))}</data></array></value>"
    if isinstance(it, bool):
        return f"<value><boolean>{int(it)}</boolean></value>"
    return f"<value>{it}</value>" if it != "" else "<value/>"


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0
    tar.addfile(info, io.BytesIO(data))


def add_block(tar, kind, name, data):
    add(tar, name, data)
    if kind == "checksum":
        add(tar, f"{name}.checksum", hashlib.sha1(data).hexdigest().encode())
    elif kind != "none":
        add(tar, f"{name}.xxhash", f"{xxh64(data):016X}".encode())


def add_disk(tar, kind, folder, data):
    number = 0
    for at in range(0, len(data), BLOCK):
        block = data[at : at + BLOCK]
        is_end = at == 0 or at + BLOCK >= len(data)
        if kind == "alive" and not is_end:
            add_block(tar, kind, f"{folder}/{number:08}", b"")
            number += 1
        if is_end or any(block):
            add_block(tar, kind, f"{folder}/{number:08}", block)
        number += 1


def main(kind, target, *disks):
    objects = [
        {"class": "VM", "id": "Ref:0", "snapshot": {"name_label": "a &amp; b", "is_a_snapshot": False}},
        {"class": "VM", "id": "Ref:1", "snapshot": {"name_label": "before", "is_a_snapshot": True}},
        {"class": "VBD", "id": "Ref:2", "snapshot": {"VM": "Ref:0", "VDI": "OpaqueRef:NULL", "type": "CD", "userdevice": "3"}},
    ]
    images = []
    for place, disk in enumerate(disks):
        device, path = disk.split("=")
        path, _, snapshot = path.partition("@")
        with open(path, "rb") as file:
            data = file.read()
        # The first of the archive is not the first of the machine.
        vdi, vbd = f"Ref:{90 - place}", f"Ref:{50 - place}"
        images.append((vdi, data))
        owner = "Ref:1" if snapshot else "Ref:0"
        connection = {"VM": owner, "VDI": vdi, "type": "Disk", "userdevice": device, "bootable": False, "device": ""}
        objects.append({"class": "VBD", "id": vbd, "snapshot": connection})
        record = {"name_label": path, "VBDs": [vbd], "virtual_size": str(len(data)), "type": "user"}
        objects.append({"class": "VDI", "id": vdi, "snapshot": record})
    version = {"product_brand": "XenServer", "export_vsn": "2"}
    text = "<?xml version='1.0'?>" + value({"version": version, "objects": objects})
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        add(tar, "ova.xml", text.encode())
        for vdi, data in sorted(images):
            add_disk(tar, kind, vdi, data)


main(*sys.argv[1:])
