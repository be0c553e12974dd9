"""Decodes a ZVHD or ZVHD2 file front to back, as plainly as can be, and prints what it holds.

usage: decode.py FILE

It follows the description of the formats: one zlib inflater for a whole ZVHD file, the standard
library's; for zstd the command-line tool. It is strict about what a writer must do: zeros wherever
something is reserved, unused or padding, ascending blocks, tables at their full size. It shares no
code with diskferry.

Prints: the original size, the current size, the number of units, and the SHA-256 of the disk at its
original size.
"""
import hashlib
import struct
import subprocess
import sys
import zlib

PAGE = 4096
BLOCK = 2 << 20


def need(condition, what):
    if not condition:
        sys.exit("decode.py: " + what)


def pages(size):
    return (size + PAGE - 1) // PAGE * PAGE


def check_page(page, cookie):
    need(len(page) == PAGE, "a page is cut short")
    need(page[:8] == cookie, "cookie")
    features, version, offset = struct.unpack_from("<IIQ", page, 8)
    need((features, version, offset) == (2, 0x10000, 0xFFFFFFFFFFFFFFFF), "features, version, data offset")
    need(page[28:32] == b"tap\0" and struct.unpack_from("<II", page, 32) == (0x10004, 0), "creator")
    original, current, geometry, kind, checksum = struct.unpack_from("<QQIII", page, 40)
    need(original % 512 == 0, "original size")
    need(current == (original + (1 << 30) - 1) >> 30 << 30, "current size")
    need(geometry == chs(original), "geometry")
    need(kind == 4, "disk type")
    need(page[84:87] == bytes(3), "flags")
    summed = sum(page[:64]) + sum(page[68:512])
    need(checksum == summed ^ 0xFFFFFFFF, "checksum")
    need(not any(page[512:]), "the rest of a page")
    return original, current


def chs(size):
    total = min(max(size // 512, 1), 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        heads, sectors = 16, 255
        tracks = total // 255
    else:
        sectors = 17
        tracks = total // 17
        heads = max((tracks + 1023) // 1024, 4)
        if tracks >= heads * 1024 or heads > 16:
            sectors, heads = 31, 16
            tracks = total // 31
        if tracks >= heads * 1024:
            sectors, heads = 63, 16
            tracks = total // 63
    return tracks // heads << 16 | heads << 8 | sectors


def unit(data, at):
    """The block, the payload and the length of the unit at an offset."""
    need(data[at:at + 12] == b"hwstream bg\0", "unit magic")
    size, block = struct.unpack_from("<II", data, at + 12)
    need(size > 0, "a unit without payload")
    need(not any(data[at + 20:at + 48]), "reserved bytes of a unit")
    length = pages(48 + size + 4)
    need(len(data) >= at + length, "a unit is cut short")
    need(not any(data[at + 48 + size:at + length - 4]), "padding")
    need(data[at + length - 4:at + length] == b"end\0", "end marker")
    return block, data[at + 48:at + 48 + size], length


def units(data, cookie):
    """Each unit up to the page that ends them, and the offset of that."""
    at, previous = PAGE, -1
    while data[at:at + 6] != cookie[:6]:
        block, payload, length = unit(data, at)
        need(block > previous, "the order of blocks")
        yield at, block, payload, length
        previous = block
        at += length
    yield at, None, None, None


def one_stream():
    """Inflates the payloads of a whole ZVHD file."""
    inflater = zlib.decompressobj()

    def unpack(payload):
        block = inflater.decompress(payload)
        need(payload[-4:] == b"\0\0\xff\xff", "flush")
        need(not inflater.eof and not inflater.unconsumed_tail, "the stream ended")
        return block

    return unpack


def zlib_block(payload):
    return one_stream()(payload)


def zstd_block(payload):
    need(payload[:4] == b"\x28\xb5\x2f\xfd" and payload[4] & 3 == 0, "a zstd frame without dictionary")
    done = subprocess.run(["zstd", "-d", "-q", "-c"], input=payload, stdout=subprocess.PIPE, check=True)
    return done.stdout


def check_tables(data, middle, entries, last):
    version, size, blocks, index, bitmap = struct.unpack_from("<BIIQQ", last, 87)
    sizes = struct.unpack_from("<IIIIIII", last, 112)
    flag, method = last[140], last[141]
    original, = struct.unpack_from("<Q", last, 40)
    need((version, size, flag) == (1, BLOCK, 0), "version, block size, kind of index")
    need(blocks == (original + BLOCK - 1) // BLOCK, "number of blocks")
    index_segments = (len(entries) + 32767) // 32768
    bitmap_segments = (blocks + 32767) // 32768
    need(sizes == (index_segments * 524288, bitmap_segments * 4096, 524288, 4096, index_segments,
                   bitmap_segments, len(entries)), "sizes of the tables")
    need(not any(last[142:512]), "reserved bytes of the last page")
    need(index == middle + PAGE, "place of the index")
    need(bitmap == index + index_segments * 524288, "place of the bitmap")
    need(len(data) == bitmap + bitmap_segments * 4096 + PAGE, "length of the file")
    expected = b"".join(struct.pack("<QII", at, block, length) for at, block, length in entries)
    need(data[index:bitmap] == expected.ljust(index_segments * 524288, b"\0"), "index")
    bits = bytearray(bitmap_segments * 4096)
    for _, block, _ in entries:
        bits[block // 8] |= 1 << block % 8
    need(data[bitmap:len(data) - PAGE] == bytes(bits), "bitmap")
    return method


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    cookie = data[:6] + b"\0\0"
    need(cookie in (b"stream\0\0", b"z2strm\0\0"), "neither ZVHD nor ZVHD2")
    original, current = check_page(data[:PAGE], cookie)
    found = list(units(data, cookie))
    end = found.pop()[0]
    if cookie == b"stream\0\0":
        need(not any(data[87:512]), "reserved bytes of the first page")
        need(data[end:] == data[:PAGE], "the last page")
        unpack = one_stream()
    else:
        last = data[-PAGE:]
        need(check_page(last, cookie) == (original, current), "sizes of the last page")
        need(data[end:end + PAGE] == data[:PAGE], "the middle page")
        entries = [(at, block, length) for at, block, _, length in found]
        method = check_tables(data, end, entries, last)
        need(data[87:92] == last[87:92] and data[92:96] == last[92:96] and data[141] == method, "the first page")
        need(not any(data[96:141]), "the tables of the first page")
        unpack = {0: zlib_block, 1: zstd_block}[method]
    digest, at = hashlib.sha256(), 0
    for _, block, payload, _ in found:
        content = unpack(payload)
        need(len(content) == BLOCK, f"block {block} has {len(content)} bytes")
        need(any(content), f"block {block} is stored and empty")
        start = block * BLOCK
        need(start < current, "a block past the end")
        zeros(digest, start - at)
        content, over = content[:original - start], content[original - start:] if start + BLOCK > original else b""
        need(not any(over), "data past the original size")
        digest.update(content)
        at = start + len(content)
    zeros(digest, original - at)
    print(original, current, len(found), digest.hexdigest())


def zeros(digest, count):
    step = bytes(1 << 20)
    while count > 0:
        digest.update(step[:count])
        count -= len(step)


main()
