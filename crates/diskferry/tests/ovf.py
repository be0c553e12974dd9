"""Judges an OVF descriptor by the words of DSP0243 1.1.1 and its schema DSP8023, strictly: elements and
their order, attributes that must be there and those that may, references, sizes, units. The schema itself
is in no package that tests could install.

    ovf.py FOLDER NAME.ovf CAPACITY     the files that it lists are in the folder
"""
import os
import re
import sys
import xml.etree.ElementTree as xml

OVF = '{http://schemas.dmtf.org/ovf/envelope/1}'
CIM = '{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/'
RASD, VSSD = CIM + 'CIM_ResourceAllocationSettingData}', CIM + 'CIM_VirtualSystemSettingData}'
VMW = '{http://www.vmware.com/schema/ovf}'

# Children in their order, with how many there may be; attributes, '!' in front of those that must be there.
ONE, MAY, MANY = (1, 1), (0, 1), (0, 10**6)
RULES = {
    'Envelope': ([('References', ONE), ('DiskSection', MAY), ('NetworkSection', MAY), ('VirtualSystem', ONE)], []),
    'References': ([('File', MANY)], []),
    'File': ([], ['!id', '!href', 'size', 'compression', 'chunkSize']),
    'DiskSection': ([('Info', ONE), ('Disk', MANY)], ['required']),
    'Disk': ([], ['!diskId', '!capacity', '!format', 'fileRef', 'capacityAllocationUnits', 'populatedSize', 'parentRef']),
    'NetworkSection': ([('Info', ONE), ('Network', MANY)], ['required']),
    'Network': ([('Description', MAY)], ['!name']),
    'Info': ([], ['msgid']),
    'Name': ([], ['msgid']),
    'Description': ([], ['msgid']),
    'VirtualSystem': ([('Info', ONE), ('Name', MAY), ('OperatingSystemSection', MAY), ('VirtualHardwareSection', MANY)], ['!id']),
    'OperatingSystemSection': ([('Info', ONE), ('Description', MAY)], ['!id', 'version', 'required', VMW + 'osType']),
    'VirtualHardwareSection': ([('Info', ONE), ('System', MAY), ('Item', MANY)], ['id', 'transport', 'required']),
    'System': (None, []),
    'Item': (None, ['bound', 'configuration', 'required']),
}
# Of CIM's classes: what they must have, and what else of theirs is used.
VALUES = {
    'System': (VSSD, ['ElementName', 'InstanceID'], ['VirtualSystemIdentifier', 'VirtualSystemType']),
    'Item': (RASD, ['ElementName', 'InstanceID', 'ResourceType'],
             ['Address', 'AddressOnParent', 'AllocationUnits', 'AutomaticAllocation', 'Caption', 'Connection',
              'Description', 'HostResource', 'Parent', 'ResourceSubType', 'VirtualQuantity']),
}
PROCESSOR, MEMORY, IDE, SCSI, NETWORK, DISK, SATA = 3, 4, 5, 6, 10, 17, 20
CONTROLLERS = (IDE, SCSI, SATA)
STREAM = 'http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized'


def judge(node):
    tag = node.tag[len(OVF):]
    assert node.tag == OVF + tag and tag in RULES, node.tag
    children, attributes = RULES[tag]
    known = {(name.lstrip('!') if name.lstrip('!').startswith('{') else OVF + name.lstrip('!')): name for name in attributes}
    for name in node.attrib:
        assert name in known, (tag, name)
    for name, rule in known.items():
        assert rule[0] != '!' or node.get(name), (tag, name)
    if children is None:
        return values(node, *VALUES[tag])
    rest = list(node)
    for child, (least, most) in children:
        count = 0
        while rest and rest[0].tag == OVF + child:
            judge(rest.pop(0))
            count += 1
        assert least <= count <= most, (tag, child, count)
    # Behind the schema's own elements there may be those of others, which must be no part of the standard.
    for other in rest:
        assert tag == 'VirtualHardwareSection' and other.tag == VMW + 'Config', (tag, other.tag)
        assert other.get(OVF + 'required') == 'false' and other.get(VMW + 'key') and other.get(VMW + 'value')


def values(node, space, needed, others):
    names = [child.tag[len(space):] for child in node]
    assert all(child.tag.startswith(space) and not child.attrib and not len(child) for child in node), names
    assert names == sorted(set(names)), names
    assert set(needed) <= set(names) <= set(needed + others), names
    assert all((child.text or '').strip() for child in node), names


def sections(root, folder, capacity):
    get = lambda node, name: node.get(OVF + name)
    files = {get(file, 'id'): file for file in root.iter(OVF + 'File')}
    disks = {get(disk, 'diskId'): disk for disk in root.iter(OVF + 'Disk')}
    networks = [get(network, 'name') for network in root.iter(OVF + 'Network')]
    assert len(files) == len(list(root.iter(OVF + 'File'))), 'ids of files are unique'
    assert len(disks) == len(list(root.iter(OVF + 'Disk'))), 'ids of disks are unique'
    for file in files.values():
        href = get(file, 'href')
        assert re.fullmatch(r'[A-Za-z0-9._-]+', href), href
        assert int(get(file, 'size')) == os.path.getsize(os.path.join(folder, href)), href
    for disk in disks.values():
        assert get(disk, 'fileRef') in files and get(disk, 'format') == STREAM
        unit = get(disk, 'capacityAllocationUnits') or 'byte'
        power = re.fullmatch(r'byte(?: \* 2\^([0-9]+))?', unit)
        assert power, unit
        assert int(get(disk, 'capacity')) << int(power[1] or 0) == capacity, get(disk, 'capacity')
    assert {get(disk, 'fileRef') for disk in disks.values()} == set(files), 'each file is a disk'
    return disks, networks


def hardware(root, disks, networks):
    read = lambda item, name: item.findtext(RASD + name)
    items = {read(item, 'InstanceID'): item for item in root.iter(OVF + 'Item')}
    assert len(items) == len(list(root.iter(OVF + 'Item'))), 'ids of items are unique'
    kinds, held = [], []
    for item in items.values():
        kind = int(read(item, 'ResourceType'))
        kinds.append(kind)
        if kind == DISK:
            host = read(item, 'HostResource')
            assert host.startswith('ovf:/disk/'), host
            held.append(host[len('ovf:/disk/'):])
            parent = items[read(item, 'Parent')]
            assert int(read(parent, 'ResourceType')) in CONTROLLERS
            assert int(read(item, 'AddressOnParent')) == 0
        elif kind == NETWORK:
            assert read(item, 'Connection') in networks and read(item, 'AutomaticAllocation') == 'true'
        elif kind == MEMORY:
            assert read(item, 'AllocationUnits') == 'byte * 2^20' and int(read(item, 'VirtualQuantity')) % 4 == 0
        elif kind == PROCESSOR:
            assert read(item, 'AllocationUnits') == 'hertz * 10^6' and int(read(item, 'VirtualQuantity')) > 0
        else:
            assert kind in CONTROLLERS and read(item, 'ResourceSubType'), kind
    assert sorted(held) == sorted(disks), held
    assert kinds.count(PROCESSOR) == kinds.count(MEMORY) == 1, kinds
    system, = root.iter(OVF + 'System')
    assert re.fullmatch(r'vmx-[0-9]{2}', system.findtext(VSSD + 'VirtualSystemType'))
    assert system.findtext(VSSD + 'InstanceID') == '0'
    section, = root.iter(OVF + 'OperatingSystemSection')
    assert 0 <= int(section.get(OVF + 'id')) < 1 << 16


def main(folder, name, capacity):
    root = xml.parse(os.path.join(folder, name)).getroot()
    judge(root)
    hardware(root, *sections(root, folder, int(capacity)))


main(*sys.argv[1:])
