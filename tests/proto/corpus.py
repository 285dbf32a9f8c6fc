#!/usr/bin/env python3
"""Writes the packets of tests/proto/corpus, one pcap file for each family of protocols.

    python3 -m venv VENV && VENV/bin/pip install scapy==2.8.0
    VENV/bin/python tests/proto/corpus.py

Only who changes the corpus needs this: the files are committed. The same version of scapy writes
the same bytes every time.
"""

import itertools
import random
import struct
from pathlib import Path

from scapy.all import (
    AH, ARP, GRE, ICMP, IP, LLC, SNAP, TCP, UDP, VXLAN, Dot1AD, Dot1Q, Dot3, Ether, HBHOptUnknown,
    ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6MLDone, ICMPv6MLQuery,
    ICMPv6MLReport, ICMPv6MLReport2, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_Redirect,
    ICMPv6ND_RS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo, ICMPv6NDOptRDNSS,
    ICMPv6NDOptRedirectedHdr, ICMPv6NDOptRouteInfo, ICMPv6NDOptSrcLLAddr, ICMPv6NDOptUnknown,
    ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPOption, IPOption_EOL,
    IPOption_LSRR, IPOption_NOP, IPOption_Router_Alert, IPOption_RR, IPOption_SSRR,
    IPOption_Timestamp, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting, Jumbo, Pad1, PadN, Raw, RouterAlert, in4_chksum,
)
from scapy.contrib.mpls import MPLS

OUT = Path(__file__).parent / "corpus"
MACS = {"dst": "02:00:00:00:00:02", "src": "02:00:00:00:00:01"}
V4 = {"src": "192.0.2.1", "dst": "198.51.100.2"}
V6 = {"src": "2001:db8::1", "dst": "2001:db8:ffff::2"}
LOCAL = {"src": "fe80::1", "dst": "fe80::2"}

rng = random.Random(0xF1)
files = {}
seen = set()


def add(family, packet):
    """Takes a packet, unless there is the same already."""
    data = bytes(packet)
    assert len(data) < 2000, (family, len(data))
    if data not in seen:
        seen.add(data)
        files.setdefault(family, []).append(data)
    return data


def eth(ether_type=None, **fields):
    header = dict(MACS, **fields)
    return Ether(**header) if ether_type is None else Ether(type=ether_type, **header)


def ip4(**fields):
    return IP(**dict(V4, **fields))


def ip6(**fields):
    return IPv6(**dict(V6, **fields))


def noise(length):
    return bytes(rng.randrange(256) for _ in range(length))


def cuts(family, packet, start=0, step=1):
    """The packet ends early, everywhere."""
    data = bytes(packet)
    for end in range(start, len(data), step):
        add(family, data[:end])


def patched(packet, at, value):
    data = bytearray(bytes(packet))
    data[at:at + len(value)] = value
    return bytes(data)


def padded(packet, length=60, filling=b"\0"):
    data = bytes(packet)
    return data + filling * (length - len(data))


def ethernet():
    family = "ethernet"
    whole = eth() / ip4() / UDP(sport=1, dport=2) / b"whole"
    cuts(family, bytes(whole)[:15])
    for ether_type in (0x0600, 0x0842, 0x22F0, 0x6003, 0x809B, 0x8137, 0x86DE, 0x8808, 0x8863, 0x8864,
                       0x888E, 0x88CC, 0x88E5, 0x88F7, 0x9000, 0xFFFF, 0x05DD, 0x05FF, 0x1234):
        add(family, eth(ether_type) / noise(46))
    for dst, src in (("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:09"), ("01:00:5e:00:00:fb", "02:aa:bb:cc:dd:ee"),
                     ("33:33:00:00:00:01", "00:00:5e:00:01:01"), ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff")):
        add(family, Ether(dst=dst, src=src) / ip4() / UDP(sport=7, dport=9) / b"x")
    # IEEE 802.3: service access points, all formats of the control field.
    for dsap, ssap in itertools.product((0x00, 0x04, 0x06, 0x42, 0x43, 0xAA, 0xE0, 0xF0, 0xFE, 0xFF), (0x00, 0x04, 0x42, 0x43, 0xFE)):
        add(family, padded(Dot3(**MACS) / LLC(dsap=dsap, ssap=ssap, ctrl=3) / noise(5)))
    for ctrl in (0x00, 0x02, 0x10, 0xFE, 0x01, 0x05, 0x09, 0x03, 0x13, 0x0F, 0x43, 0x53, 0x63, 0x6F, 0x73, 0x87, 0xAF, 0xBF, 0xE3, 0xF3, 0xFF):
        add(family, padded(Dot3(**MACS) / bytes([0x04, 0x04, ctrl]) / noise(9)))
        add(family, padded(Dot3(**MACS) / bytes([0x04, 0x05, ctrl]) / noise(2)))
    for oui, code in itertools.product((0, 0xF8, 0x0C, 0x80C2, 0x123456), (0x0800, 0x0806, 0x86DD, 0x2000, 0x1234)):
        add(family, padded(Dot3(**MACS) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=oui, code=code) / noise(3)))
    snap = LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
    add(family, Dot3(**MACS) / snap / SNAP(OUI=0, code=0x0800) / ip4() / UDP(sport=1, dport=2) / b"snapped")
    add(family, padded(Dot3(**MACS) / snap / SNAP(OUI=0, code=0x0806) / ARP(psrc="10.0.0.1", pdst="10.0.0.2", hwsrc=MACS["src"])))
    add(family, Dot3(**MACS) / snap / SNAP(OUI=0, code=0x86DD) / ip6() / UDP(sport=1, dport=2) / b"snapped six")
    add(family, Dot3(**MACS) / LLC(dsap=6, ssap=6, ctrl=3) / ip4() / UDP(sport=3, dport=4) / b"over LLC")
    cuts(family, Dot3(**MACS) / snap / SNAP(OUI=0, code=0x0800) / b"", 14)
    for length in (0, 1, 2, 3, 4, 5, 7, 8, 9, 45, 46, 47, 100, 1500, 1501, 1535):
        add(family, padded(struct.pack(">6s6sH", b"\2\0\0\0\0\2", b"\2\0\0\0\0\1", length) + b"\xaa\xaa\x03\0\0\0\x12\x34" + noise(30)))
        add(family, padded(struct.pack(">6s6sH", b"\2\0\0\0\0\2", b"\2\0\0\0\0\1", length) + b"\x42\x42\x03" + noise(10)))


def vlan():
    family = "vlan"
    inner = ip4() / UDP(sport=1000, dport=2000) / b"tagged"
    for prio, dei, vid in itertools.product((0, 1, 5, 7), (0, 1), (0, 1, 100, 4094, 4095)):
        add(family, eth() / Dot1Q(prio=prio, dei=dei, vlan=vid) / inner)
        add(family, eth() / Dot1AD(prio=prio, dei=dei, vlan=vid) / Dot1Q(prio=7 - prio, vlan=4095 - vid) / inner)
    for depth in range(1, 9):
        for payload in (inner, ip6() / TCP(sport=1, dport=2), ARP(psrc="10.0.0.1", pdst="10.0.0.2", hwsrc=MACS["src"])):
            tags = eth()
            for level in range(depth):
                tags = tags / Dot1Q(vlan=level + 1, prio=level % 8)
            add(family, tags / payload)
            tags = eth()
            for level in range(depth):
                tags = tags / (Dot1AD(vlan=level + 10) if level % 2 == 0 else Dot1Q(vlan=level + 10))
            add(family, tags / payload)
    for ether_type in (0x9100, 0x9200, 0x88A8, 0x8100):
        add(family, eth(ether_type) / struct.pack(">HH", 0x2064, 0x0800) / inner)
        add(family, eth(ether_type) / struct.pack(">HHHH", 0x2064, 0x9100, 0x0065, 0x0800) / inner)
    for ether_type in (0x1234, 0x0003, 0x88CC, 0x0600, 0x05FF):
        add(family, eth() / Dot1Q(vlan=5, type=ether_type) / noise(46))
    cuts(family, eth() / Dot1AD(vlan=2) / Dot1Q(vlan=3) / b"")
    cuts(family, eth() / Dot1AD(vlan=2) / Dot1Q(vlan=3) / inner, 22, 3)
    add(family, padded(eth() / Dot1Q(vlan=3) / ip4() / UDP(sport=1, dport=2) / b"pad", 64))


def arp():
    family = "arp"
    ours = {"psrc": "10.0.0.1", "hwsrc": MACS["src"], "pdst": "10.0.0.2", "hwdst": "00:00:00:00:00:00"}
    for op in list(range(0, 12)) + [23, 24, 25, 255, 256, 65535]:
        add(family, padded(eth() / ARP(op=op, **ours)))
    for hwsrc, psrc, hwdst, pdst in (("02:00:00:00:00:01", "10.0.0.1", "ff:ff:ff:ff:ff:ff", "10.0.0.1"),
                                     ("02:00:00:00:00:01", "0.0.0.0", "00:00:00:00:00:00", "169.254.7.7"),
                                     ("00:00:5e:00:01:01", "255.255.255.255", "02:11:22:33:44:55", "224.0.0.1")):
        for op in (1, 2):
            add(family, eth() / ARP(op=op, hwsrc=hwsrc, psrc=psrc, hwdst=hwdst, pdst=pdst))
    whole = eth() / ARP(op=1, **ours)
    cuts(family, whole, 14)
    for hwtype in (0, 6, 15, 24, 32, 256):
        add(family, padded(patched(whole, 14, struct.pack(">H", hwtype))))
    for ptype in (0x0000, 0x0801, 0x86DD, 0x0806):
        add(family, padded(patched(whole, 16, struct.pack(">H", ptype))))
    for hwlen, plen in itertools.product((0, 5, 6, 7, 20, 255), (0, 3, 4, 5, 16, 255)):
        if (hwlen, plen) != (6, 4):
            add(family, padded(patched(whole, 18, bytes([hwlen, plen])), 74))
    for length in (43, 46, 60, 64, 100):
        add(family, padded(eth() / ARP(op=2, **ours), length, b"\xee"))


def options(data):
    """Raw IPv4 options, padded to words."""
    return data + b"\0" * (-len(data) % 4)


def ip4_with(data, payload=b"", **fields):
    """An IPv4 packet whose options are exactly these bytes, with a right header checksum."""
    assert len(data) % 4 == 0 and len(data) <= 40
    header = bytearray(bytes(ip4(proto=fields.pop("proto", 17), len=20 + len(data) + len(payload), chksum=0, **fields)))
    header[0] = 0x40 | (5 + len(data) // 4)
    whole = header + data
    return bytes(patched(whole, 10, struct.pack(">H", internet_checksum(whole)))) + payload


def internet_checksum(data):
    data = bytes(data) + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4():
    family = "ipv4"
    udp = UDP(sport=4000, dport=5000) / b"payload"
    for tos in list(range(0, 64)) + list(range(64, 256, 5)):
        add(family, eth() / ip4(tos=tos, ttl=tos + 1 & 0xFF, id=tos * 257) / udp)
    for flags, frag in itertools.product(range(8), (0, 1, 2, 185, 8191)):
        add(family, eth() / ip4(flags=flags, frag=frag, id=0xABCD) / udp)
    for ttl in (0, 1, 2, 63, 128, 255):
        add(family, eth() / ip4(ttl=ttl) / udp)
    for proto in (0, 2, 3, 4, 5, 8, 9, 33, 41, 43, 44, 46, 47, 50, 51, 58, 59, 60, 88, 89, 94, 103, 108, 112, 115, 132, 135, 136, 137, 253, 254, 255):
        add(family, eth() / ip4(proto=proto) / noise(40))
        add(family, eth() / ip4(proto=proto, frag=3) / noise(24))
        add(family, eth() / ip4(proto=proto))
    for source, destination in (("0.0.0.0", "255.255.255.255"), ("127.0.0.1", "127.0.0.2"), ("224.0.0.1", "10.1.2.3"), ("255.255.255.255", "0.0.0.0")):
        add(family, eth() / IP(src=source, dst=destination) / udp)
    # The fragments of one datagram.
    datagram = bytes(UDP(sport=9, dport=10, len=108, chksum=0) / noise(100))
    for size in (8, 24, 56):
        for at in range(0, len(datagram), size):
            last = at + size >= len(datagram)
            add(family, padded(eth() / ip4(proto=17, id=size, flags=0 if last else 1, frag=at // 8) / datagram[at:at + size]))
    # Options, well formed.
    routers = ["10.9.8.7", "10.9.8.6", "10.9.8.5"]
    for option in (IPOption_RR, IPOption_LSRR, IPOption_SSRR):
        for count in range(0, 4):
            for pointer in (4, 8, 12, 16, 20):
                add(family, eth() / ip4(options=[option(pointer=pointer, routers=routers[:count])]) / udp)
    for alert in (0, 1, 2, 65535):
        add(family, eth() / ip4(options=[IPOption_Router_Alert(alert=alert)]) / udp)
    for flag in (0, 1, 2, 3, 15):
        for pointer in (5, 9, 13, 17):
            stamps = b"".join(struct.pack(">I", value) for value in (0x0A000001, 0x80000001, 86399999, 0x7FFFFFFF))
            length = 4 + len(stamps)
            data = bytes([68, length, pointer, (pointer % 16) << 4 | flag]) + stamps
            add(family, eth(0x0800) / ip4_with(options(data), bytes(udp)))
    add(family, eth() / ip4(options=[IPOption_NOP()] * 4) / udp)
    add(family, eth() / ip4(options=[IPOption_NOP(), IPOption_NOP(), IPOption_EOL()]) / udp)
    add(family, eth() / ip4(options=[IPOption_NOP(), IPOption_Router_Alert(), IPOption_RR(pointer=4, routers=routers[:1])]) / udp)
    add(family, eth(0x0800) / ip4_with(b"\1" * 40, bytes(udp)))
    add(family, eth(0x0800) / ip4_with(b"\0" * 40, bytes(udp)))
    add(family, eth(0x0800) / ip4_with(b"\0\1\1\1", bytes(udp)))
    add(family, eth(0x0800) / ip4_with(b"\0\x94\4\0\0\0\0\0", bytes(udp)))
    for kind in (2, 10, 11, 12, 25, 30, 82, 94, 130, 133, 134, 136, 144, 145, 147, 148, 149, 150, 151, 152, 158, 205, 222, 255):
        for length in (2, 3, 4, 5, 6, 8, 11, 12):
            add(family, eth(0x0800) / ip4_with(options(bytes([kind, length]) + noise(length - 2)), bytes(udp)))
    # Options whose length lies.
    for kind in (7, 68, 130, 131, 137, 148, 30):
        for length in (0, 1, 2, 3, 5, 6, 7, 9, 13, 40, 41, 255):
            data = bytes([1, kind, length]) + bytes([4, 1, 2, 3, 4, 5, 6, 7, 8])
            add(family, eth(0x0800) / ip4_with(options(data), bytes(udp)))
    for kind in (7, 68, 148, 30):
        add(family, eth(0x0800) / ip4_with(b"\1\1\1" + bytes([kind]), bytes(udp)))
    for kind, pointer in itertools.product((7, 131, 137), (0, 1, 2, 3, 5, 6, 7, 9, 200, 255)):
        add(family, eth(0x0800) / ip4_with(bytes([1, kind, 11, pointer]) + noise(8), bytes(udp)))
    for pointer in (0, 1, 4, 6, 8, 200):
        add(family, eth(0x0800) / ip4_with(bytes([68, 12, pointer, 0x10]) + noise(8), bytes(udp)))
    # Lengths and versions that lie.
    plain = bytes(eth() / ip4() / udp)
    for first in range(0x40, 0x50):
        add(family, patched(plain, 14, bytes([first])))
    for version in (0, 1, 3, 5, 6, 7, 15):
        add(family, patched(plain, 14, bytes([version << 4 | 5])))
    for length in list(range(0, 40)) + [100, 1500, 65535]:
        add(family, patched(plain, 16, struct.pack(">H", length)))
        add(family, padded(eth(0x0800) / patched(ip4() / udp, 2, struct.pack(">H", length))))
    with_options = bytes(eth() / ip4(options=[IPOption_RR(pointer=4, routers=routers)]) / udp)
    cuts(family, with_options, 14)
    # Checksums.
    for delta in (1, 0x100, 0x8000, 0xFFFF):
        right = struct.unpack(">H", plain[24:26])[0]
        add(family, patched(plain, 24, struct.pack(">H", right + delta & 0xFFFF)))
    add(family, patched(plain, 24, b"\0\0"))
    add(family, patched(plain, 24, b"\xff\xff"))
    for length in (60, 61, 64, 128):
        add(family, padded(plain, length))
        add(family, padded(plain, length, b"\xaa"))


def extension(next_header, data, length=None):
    """An IPv6 extension header of these bytes, whose length may lie."""
    assert (len(data) + 2) % 8 == 0
    return bytes([next_header, (len(data) + 2) // 8 - 1 if length is None else length]) + data


def ipv6():
    family = "ipv6"
    udp = UDP(sport=4000, dport=5000) / b"payload"
    six = ip6() / udp
    for tc in list(range(0, 256, 7)):
        add(family, eth() / ip6(tc=tc, fl=tc * 4097 & 0xFFFFF, hlim=255 - tc) / udp)
    for fl in (1, 0x80000, 0xFFFFF):
        add(family, eth() / ip6(fl=fl) / udp)
    for source, destination in (("::", "ff02::1"), ("::1", "::1"), ("::ffff:1.2.3.4", "64:ff9b::5.6.7.8"), ("2002:c000:201::1", "fe80::1"), ("2001:0:1:2:3:4:5:6", "fd00::1")):
        add(family, eth() / IPv6(src=source, dst=destination) / udp)
    for nh in (1, 2, 4, 5, 8, 33, 46, 47, 50, 59, 88, 89, 103, 132, 135, 136, 139, 140, 253, 254, 255):
        add(family, eth() / ip6(nh=nh) / noise(40))
        add(family, eth() / ip6(nh=nh))
    ours = {
        "hop": lambda: IPv6ExtHdrHopByHop(options=[RouterAlert(value=2)]),
        "dst": lambda: IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0\0")]),
        "frg": lambda: IPv6ExtHdrFragment(offset=0, m=0, id=0x01020304),
        "aut": lambda: AH(spi=0x11223344, seq=7, icv=b"0123456789ab"),
    }

    def routing(segleft, addresses):
        return IPv6ExtHdrRouting(type=0, segleft=segleft, addresses=addresses)

    for count in range(1, 4):
        for names in itertools.product(ours, repeat=count):
            if "hop" in names[1:] and rng.random() < 0.7:
                continue
            packet = eth() / ip6()
            for name in names:
                packet = packet / ours[name]()
            add(family, packet / udp)
    for count in (4, 6, 7, 8, 9, 12):
        packet = eth() / ip6()
        for _ in range(count):
            packet = packet / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0\0\0\0")])
        add(family, packet / udp)
        packet = eth() / ip6()
        for _ in range(count):
            packet = packet / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0\0\0\0")])
        add(family, packet / udp)
    # Routing headers: types, segments left.
    for count, left in itertools.product(range(0, 4), range(0, 5)):
        addresses = [f"2001:db8::{i + 10}" for i in range(count)]
        add(family, eth() / ip6() / routing(left, addresses) / udp)
    for kind, left in itertools.product((0, 1, 2, 3, 4, 5, 253, 254, 255), (0, 1, 2)):
        add(family, eth() / ip6(nh=43) / extension(17, bytes([kind, left]) + noise(20)) / bytes(udp))
        add(family, eth() / ip6(nh=43) / extension(17, bytes([kind, left]) + noise(4)) / bytes(udp))
    segments = noise(32)
    for left, last, tail in itertools.product((0, 1, 2), (0, 1, 5), (b"", b"\5\6" + noise(6), b"\1\6" + noise(6))):
        add(family, eth() / ip6(nh=43) / extension(17, bytes([4, left, last, 0, 0, 9]) + segments + tail) / bytes(udp))
    # Options in hop-by-hop and destination headers.
    lists = [
        b"\x01\x04\0\0\0\0", b"\0\0\0\0\0\0", b"\x01\x00\x01\x00\x01\x00", b"\x05\x02\0\0\x01\x00", b"\x05\x02\0\1\0\0", b"\x05\x02\xff\xff\x01\0",
        b"\xc2\x04\0\1\0\0", b"\x04\x01\x05\x01\x01\x00", b"\xc9\x10" + noise(16) + b"\1\2\0\0", b"\x26\x04" + noise(4), b"\x07\x08" + noise(8) + b"\1\2\0\0",
        b"\x63\x04" + noise(4), b"\x1e\x04" + noise(4), b"\x3e\x04" + noise(4), b"\x5e\x04" + noise(4), b"\x9e\x04" + noise(4), b"\xde\x04" + noise(4),
        b"\x8b\x04" + noise(4), b"\x8a\x04" + noise(4), b"\x31\x04" + noise(4), b"\x6d\x04" + noise(4), b"\xee\x04" + noise(4), b"\x01\x0c" + bytes(12), b"\x08\x0c" + noise(12),
        b"\x22\x04" + noise(4), b"\0\x22\x03" + noise(3), b"\0\0\x22\x02" + noise(2), b"\x22\x00\x22\x00\x22\x00", b"\x01\x04\1\2\3\4",
    ]
    for data in lists:
        for number in (0, 60):
            add(family, eth() / ip6(nh=number) / extension(17, data) / bytes(udp))
    for data in (b"\x01\x05\0\0\0\0", b"\x01\xff\0\0\0\0", b"\x05\x03\0\0\0\0", b"\x05\x01\0\0\0\0", b"\x05\x00\x01\x02\0\0", b"\0\0\0\0\0\x01", b"\0\0\0\0\0\x05",
                 b"\xc2\x03\0\0\0\0", b"\xc2\x05\0\0\0\0", b"\x22\x05\0\0\0\0", b"\x01\x03\0\0\0\x22", b"\x22\x04\0\0\0\0", b"\x01\x02\0\0\x01\x01", b"\xc9\x04\0\0\0\0", b"\x04\x02\0\0\0\0"):
        for number in (0, 60):
            add(family, eth() / ip6(nh=number) / extension(17, data) / bytes(udp))
    # Fragments.
    datagram = bytes(UDP(sport=9, dport=10, len=108, chksum=0x1234) / noise(100))
    for size in (8, 24, 56):
        for at in range(0, len(datagram), size):
            more = at + size < len(datagram)
            add(family, eth() / ip6() / IPv6ExtHdrFragment(nh=17, offset=at // 8, m=more, id=size) / datagram[at:at + size])
    for offset, m, res1, res2 in itertools.product((0, 1, 8191), (0, 1), (0, 255), (0, 3)):
        add(family, eth() / ip6() / IPv6ExtHdrFragment(nh=17, offset=offset, m=m, res1=res1, res2=res2, id=0xDEADBEEF) / bytes(udp))
    add(family, eth() / ip6() / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0\0\0\0")]) / IPv6ExtHdrFragment(nh=60, offset=0, m=1, id=5) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0\0\0\0")]) / udp)
    add(family, eth() / ip6() / IPv6ExtHdrFragment(nh=60, offset=3, m=1, id=5) / noise(32))
    # Authentication headers of all lengths.
    for words in (0, 1, 2, 3, 4, 5, 6, 7, 8, 20, 254, 255):
        add(family, eth() / ip6(nh=51) / bytes([17, words, 0, 0]) / struct.pack(">II", 1, 2) / noise(16) / bytes(udp))
        add(family, eth() / ip4(proto=51) / bytes([17, words, 0, 0]) / struct.pack(">II", 1, 2) / noise(16) / bytes(udp))
    for padding in (0, 8, 16):
        body = bytes([17, 1 + padding // 4, 0, 0]) + struct.pack(">II", 0x99, 0x77) + noise(padding)
        add(family, eth() / ip6(nh=51) / body / bytes(udp))
        add(family, eth() / ip4(proto=51) / body / bytes(udp))
    # No next header, and what follows it.
    add(family, eth() / ip6(nh=60) / extension(59, b"\1\4\0\0\0\0"))
    add(family, eth() / ip6(nh=60) / extension(59, b"\1\4\0\0\0\0") / b"ignored")
    # Lengths that lie.
    for number in (0, 43, 60, 135, 139, 140):
        for length in (0, 1, 2, 3, 5, 31, 255):
            add(family, eth() / ip6(nh=number) / extension(17, b"\1\4\0\0\0\0", length) / bytes(udp))
    plain = bytes(eth() / six)
    for length in list(range(0, 24)) + [100, 65535]:
        add(family, patched(plain, 18, struct.pack(">H", length)))
        add(family, padded(patched(plain, 18, struct.pack(">H", length)), 80))
    for version in (0, 4, 5, 7, 15):
        add(family, patched(plain, 14, bytes([version << 4])))
    add(family, eth() / ip6(plen=0, nh=0) / IPv6ExtHdrHopByHop(nh=17, options=[Jumbo(jumboplen=65536)]) / udp)
    add(family, padded(plain, 100, b"\x55"))
    chain = eth() / ip6() / ours["hop"]() / ours["dst"]() / routing(1, ["2001:db8::9"]) / ours["frg"]() / ours["aut"]() / udp
    cuts(family, chain, 14, 1)
    for segleft in (0, 1):
        right = eth() / ip6() / routing(segleft, ["2001:db8::9"]) / udp
        add(family, right)
        add(family, patched(right, len(bytes(right)) - 9, b"\x12\x34"))


def udp():
    family = "udp"
    for make in (ip4, ip6):
        for sport, dport in ((0, 0), (1, 65535), (53, 53), (65535, 1), (49152, 443), (4789, 4790)):
            for length in (0, 1, 2, 7, 64):
                if 4789 in (sport, dport) and length < 8:
                    continue
                add(family, eth() / make() / UDP(sport=sport, dport=dport) / noise(length))
        right = bytes(eth() / make() / UDP(sport=1234, dport=4321) / b"checksum")
        at = len(right) - 16
        checksum = struct.unpack(">H", right[at + 6:at + 8])[0]
        for wrong in (0, 1, 0xFFFF, checksum ^ 1, checksum ^ 0x8000, ~checksum & 0xFFFF):
            add(family, patched(right, at + 6, struct.pack(">H", wrong)))
        for length in list(range(0, 20)) + [100, 65535]:
            add(family, patched(right, at + 4, struct.pack(">H", length)))
            add(family, padded(patched(right, at + 4, struct.pack(">H", length)), 90))
        cuts(family, right, at - 3)
        # The IP header is whole, the datagram is not.
        for short in range(0, 16):
            payload = bytes(UDP(sport=1234, dport=4321, len=16, chksum=1) / b"checksum")[:short]
            add(family, padded(eth() / (make(proto=17) if make is ip4 else make(nh=17)) / payload))
        # A checksum that comes out as 0 goes out as 0xffff.
        for word in range(65536):
            message = UDP(sport=word, dport=7, len=10, chksum=0) / b"\0\0"
            pair = (V4 if make is ip4 else V6)
            if make is ip4 and in4_chksum(17, IP(**pair), bytes(message)) == 0:
                add(family, eth() / make() / UDP(sport=word, dport=7, chksum=0xFFFF) / b"\0\0")
                break
        # As left to a network card to finish.
        add(family, patched(right, at + 6, struct.pack(">H", ~internet_checksum(
            (bytes([192, 0, 2, 1, 198, 51, 100, 2]) if make is ip4 else bytes(IPv6(**V6))[8:40]) + struct.pack(">HH", 17, 16)) & 0xFFFF)))


def tcp_with(data, payload=b"", **fields):
    """A TCP segment whose options are exactly these bytes."""
    assert len(data) % 4 == 0 and len(data) <= 40
    segment = TCP(sport=50000, dport=80, **dict({"seq": 1000, "ack": 2000}, **fields))
    segment.dataofs = 5 + len(data) // 4
    return segment / Raw(data + payload)


def tcp():
    family = "tcp"
    for flags in range(256):
        make = ip4 if flags % 2 else ip6
        add(family, eth() / make() / TCP(sport=50000, dport=80, seq=flags << 24 | 7, ack=flags * 65537, flags=flags, window=flags * 257, urgptr=flags * 3) / noise(flags % 5))
    for reserved in range(8):
        packet = bytes(eth() / ip4() / TCP(sport=1, dport=2, reserved=reserved, flags=0x110 if reserved & 1 else 0x10))
        add(family, packet)
    for sport, dport in ((0, 0), (65535, 1), (443, 65000)):
        add(family, eth() / ip4() / TCP(sport=sport, dport=dport, seq=0xFFFFFFFF, ack=0xFFFFFFFF))
    # Options as stacks send them.
    lists = [
        [("MSS", 1460)], [("MSS", 0)], [("MSS", 65535)], [("WScale", 0)], [("WScale", 7), ("NOP", None)], [("WScale", 14)], [("WScale", 15)], [("WScale", 255)],
        [("SAckOK", b"")], [("NOP", None)] * 4, [("EOL", None)], [("Timestamp", (1, 0))], [("Timestamp", (0xFFFFFFFF, 0x80000000)), ("NOP", None)],
        [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (12345, 0)), ("NOP", None), ("WScale", 7)],
        [("MSS", 1440), ("NOP", None), ("WScale", 8), ("NOP", None), ("NOP", None), ("SAckOK", b"")],
        [("NOP", None), ("NOP", None), ("Timestamp", (99, 98))],
        [("NOP", None), ("NOP", None), ("SAck", (1000, 2000))], [("SAck", (1, 2, 3, 4))], [("SAck", (1, 2, 3, 4, 5, 6))], [("SAck", (1, 2, 3, 4, 5, 6, 7, 8))],
        [("NOP", None), ("NOP", None), ("Timestamp", (5, 6)), ("NOP", None), ("NOP", None), ("SAck", (10, 20, 30, 40, 0xFFFFFFF0, 5))],
        [("MSS", 536), ("EOL", None), ("MSS", 1)], [("TFO", (0x11223344, 0x55667788))], [("AltChkSum", (1, 0))], [("UTO", 0x8001)], [("MSS", 100), ("MSS", 200)],
    ]
    for chosen in lists:
        for make, flags in itertools.product((ip4, ip6), ("S", "SA", "A", "R")):
            add(family, eth() / make() / TCP(sport=50001, dport=443, flags=flags, seq=42, ack=43, options=chosen))
    # Every kind with every small length, right or not.
    for kind in (2, 3, 4, 5, 8, 6, 7, 14, 15, 19, 28, 29, 30, 34, 69, 253, 254, 255):
        for length in (0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 18, 20):
            data = (bytes([kind, length]) + noise(max(0, length - 2)))
            data += b"\1" * (-len(data) % 4)
            add(family, eth() / ip4() / tcp_with(data, flags="S"))
    for kind in (2, 3, 5, 8, 254):
        for length in (5, 21, 40, 41, 200, 255):
            add(family, eth() / ip4() / tcp_with(b"\1\1" + bytes([kind, length]), flags="A"))
        add(family, eth() / ip4() / tcp_with(b"\1\1\1" + bytes([kind]), flags="A"))
        add(family, eth() / ip4() / tcp_with(b"\0\1\1" + bytes([kind]), flags="A"))
    add(family, eth() / ip4() / tcp_with(b"\1" * 40))
    add(family, eth() / ip4() / tcp_with(b"\0" * 40))
    add(family, eth() / ip6() / tcp_with(b"\1" * 40, b"after the options"))
    for blocks in range(0, 5):
        data = b"\1\1" + bytes([5, 2 + 8 * blocks]) + noise(8 * blocks)
        add(family, eth() / ip4() / tcp_with(data, flags="A"))
    # Data offsets that lie, segments cut short.
    for make in (ip4, ip6):
        plain = bytes(eth() / make() / TCP(sport=1000, dport=2000, flags="PA", seq=5, ack=6) / b"data")
        at = len(plain) - 24
        for offset in range(16):
            add(family, patched(plain, at + 12, bytes([offset << 4])))
            add(family, patched(plain + b"more than sixty bytes of segment, all in all", at + 12, bytes([offset << 4])))
        for checksum in (b"\0\0", b"\xff\xff", b"\x12\x34"):
            add(family, patched(plain, at + 16, checksum))
        whole = bytes(TCP(sport=1000, dport=2000, flags="S", options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 2)), ("NOP", None), ("WScale", 7)]))
        for short in range(0, 40):
            add(family, padded(eth() / (make(proto=6) if make is ip4 else make(nh=6)) / whole[:short], 60 if short % 2 else 0))
        add(family, padded(eth() / make() / TCP(sport=1, dport=2, flags="A"), 64, b"\xcc"))


def icmp():
    family = "icmp"
    ping = b"abcdefgh"
    for kind in (0, 8):
        for code, ident, seq in ((0, 0, 0), (0, 1, 1), (0, 0x1234, 0xFFFF), (1, 2, 3), (255, 0xFFFF, 0x0102)):
            add(family, eth() / ip4() / ICMP(type=kind, code=code, id=ident, seq=seq) / ping)
            add(family, padded(eth() / ip4() / ICMP(type=kind, code=code, id=ident, seq=seq)))
    quoted = [
        bytes(ip4(ttl=1) / UDP(sport=33434, dport=33435) / b"traceroute"),
        bytes(ip4(ttl=1) / UDP(sport=33434, dport=33435) / b"traceroute")[:28],
        bytes(ip4(ttl=3) / TCP(sport=5, dport=6, seq=7))[:28],
        bytes(ip4() / TCP(sport=5, dport=6, seq=7, options=[("MSS", 1460)])),
        bytes(ip4() / ICMP(type=8, id=1, seq=2) / ping),
        bytes(ip4(options=[IPOption_RR(pointer=4, routers=["1.2.3.4"])]) / UDP(sport=3, dport=4) / b"options"),
        bytes(ip4(frag=5, flags=1) / noise(8)),
        bytes(ip4(proto=47) / GRE(proto=0x0800) / ip4() / UDP(sport=8, dport=8)),
        b"", b"\x45", bytes(ip4() / UDP())[:19], bytes(ip4() / UDP())[:20], b"\x60" + noise(39), noise(24),
    ]
    for code in range(17):
        add(family, eth() / ip4() / ICMP(type=3, code=code, nexthopmtu=1300 + code) / quoted[code % 4])
    for quote in quoted:
        for kind, code in ((3, 1), (3, 4), (4, 0), (5, 1), (11, 0), (11, 1), (12, 0), (12, 1)):
            header = bytes([kind, code, 0, 0]) + (bytes([10, 0, 0, 254]) if kind == 5 else struct.pack(">HH", 0, 1400) if (kind, code) == (3, 4) else b"\x14\0\0\0" if kind == 12 else bytes(4))
            message = header + quote
            add(family, eth() / ip4(proto=1) / patched(message, 2, struct.pack(">H", internet_checksum(message))))
    for code in range(5):
        add(family, eth() / ip4() / ICMP(type=5, code=code, gw=f"10.0.0.{code}") / quoted[0])
    for pointer in (0, 8, 20, 255):
        add(family, eth() / ip4() / ICMP(type=12, code=pointer % 3, ptr=pointer) / quoted[0])
    for kind in (1, 2, 6, 7, 9, 10, 13, 14, 15, 16, 17, 18, 19, 30, 31, 37, 38, 40, 41, 42, 43, 253, 255):
        for code in (0, 1):
            message = bytes([kind, code, 0, 0]) + struct.pack(">HH", 77, 88) + bytes(12)
            add(family, eth() / ip4(proto=1) / patched(message, 2, struct.pack(">H", internet_checksum(message))))
    for kind in (0, 3, 5, 8, 11, 12):
        message = bytes(ICMP(type=kind) / quoted[0])
        for wrong in (b"\0\0", b"\xff\xff", b"\xab\xcd"):
            add(family, eth() / ip4(proto=1) / patched(message, 2, wrong))
        for short in range(0, 12):
            add(family, padded(eth() / ip4(proto=1) / message[:short]))


def icmpv6():
    family = "icmpv6"

    def local(**fields):
        return IPv6(**dict(LOCAL, hlim=255, **fields))

    def message(data, **fields):
        """Raw bytes with a right checksum."""
        packet = local(nh=58, **fields)
        source_and_destination = bytes(packet)[8:40]
        data = patched(data, 2, b"\0\0")
        checksum = internet_checksum(source_and_destination + struct.pack(">II", len(data), 58) + data)
        return eth() / packet / patched(data, 2, struct.pack(">H", checksum))

    for kind in (ICMPv6EchoRequest, ICMPv6EchoReply):
        for code, ident, seq in ((0, 0, 0), (0, 1, 1), (0, 0x1234, 0xFFFF), (1, 2, 3), (255, 0xFFFF, 0x0102)):
            add(family, eth() / ip6() / kind(code=code, id=ident, seq=seq, data=b"abcdefgh"))
    quoted = [
        ip6(hlim=1) / UDP(sport=33434, dport=33435) / b"traceroute",
        ip6() / TCP(sport=5, dport=6, seq=7, options=[("MSS", 1440)]),
        ip6() / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0\0\0\0")]) / UDP(sport=1, dport=2),
        ip6() / ICMPv6EchoRequest(id=1, seq=2),
        ip6() / IPv6ExtHdrFragment(nh=17, offset=9, m=1, id=3) / Raw(noise(16)),
        Raw(bytes(ip6() / UDP(sport=1, dport=2) / b"cut short here")[:45]), Raw(bytes(ip6() / UDP())[:40]), Raw(bytes(ip6() / UDP())[:39]), Raw(b""), Raw(b"\x60"), Raw(noise(40)),
    ]
    for quote in quoted:
        for kind, code, word in ((1, 0, 0), (1, 4, 0), (2, 0, 1280), (3, 0, 0), (3, 1, 0), (4, 0, 6), (4, 1, 40), (4, 2, 48)):
            add(family, message(bytes([kind, code, 0, 0]) + struct.pack(">I", word) + bytes(quote)))
    for code in range(10):
        add(family, eth() / ip6() / ICMPv6DestUnreach(code=code) / quoted[0])
    for mtu in (0, 1279, 1500, 0xFFFFFFFF):
        add(family, eth() / ip6() / ICMPv6PacketTooBig(mtu=mtu) / quoted[1])
    for ptr in (0, 1, 40, 0xFFFFFFFF):
        add(family, eth() / ip6() / ICMPv6ParamProblem(code=ptr % 4, ptr=ptr) / quoted[2])
    add(family, eth() / ip6() / ICMPv6TimeExceeded(code=0) / quoted[0])
    # Neighbour discovery.
    source, target = ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01"), ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:02")
    prefixes = [
        ICMPv6NDOptPrefixInfo(prefix="2001:db8::", prefixlen=64), ICMPv6NDOptPrefixInfo(prefix="2001:db8:1::", prefixlen=48, L=0, A=1, validlifetime=86400, preferredlifetime=14400),
        ICMPv6NDOptPrefixInfo(prefix="fd00::", prefixlen=128, L=1, A=0, R=1, validlifetime=0, preferredlifetime=0), ICMPv6NDOptPrefixInfo(prefix="::", prefixlen=255, res1=31, res2=0xFFFFFFFF),
    ]
    mtu = ICMPv6NDOptMTU(mtu=1500)
    others = [ICMPv6NDOptRDNSS(dns=["2001:db8::53"], lifetime=60), ICMPv6NDOptRouteInfo(prefix="2001:db8:2::", plen=48, prf=1, rtlifetime=9), ICMPv6NDOptUnknown(type=253, data=b"experi")]
    for tail in ([], [source], [target], [mtu], [others[2]], [source, mtu]):
        for head in (ICMPv6ND_RS(res=0), ICMPv6ND_RS(res=0xFFFFFFFF), ICMPv6ND_NS(tgt="fe80::2"), ICMPv6ND_NS(tgt="ff02::1", res=1), ICMPv6ND_NA(tgt="fe80::1", R=0, S=0, O=0),
                     ICMPv6ND_NA(tgt="2001:db8::5", R=1, S=1, O=1), ICMPv6ND_NA(tgt="fe80::1", R=0, S=1, O=0, res=0x1FFFFFFF), ICMPv6ND_RA(chlim=64, routerlifetime=1800), ICMPv6ND_Redirect(tgt="fe80::9", dst="2001:db8::7")):
            packet = eth() / local() / head
            for option in tail:
                packet = packet / option
            add(family, packet)
    for m, o, h, prf, p in itertools.product((0, 1), (0, 1), (0, 1), (0, 1, 2, 3), (0, 1)):
        add(family, eth() / local() / ICMPv6ND_RA(chlim=m * 255, M=m, O=o, H=h, prf=prf, P=p, routerlifetime=prf * 3000, reachabletime=o * 30000, retranstimer=h * 1000) / source)
    for tail in itertools.chain(([p] for p in prefixes), ([o] for o in others), ([source, mtu, p] for p in prefixes), [prefixes, [mtu] * 3, [source, mtu] + prefixes + others]):
        packet = eth() / local() / ICMPv6ND_RA(chlim=64, routerlifetime=1800)
        for option in tail:
            packet = packet / option
        add(family, packet)
    for quote in quoted[:5]:
        add(family, eth() / local() / ICMPv6ND_Redirect(tgt="fe80::9", dst="2001:db8::7") / target / ICMPv6NDOptRedirectedHdr(pkt=quote))
    # Options whose length lies.
    heads = [bytes([133, 0, 0, 0]) + bytes(4), bytes([134, 0, 0, 0, 64, 0x40, 7, 8]) + bytes(8), bytes([135, 0, 0, 0]) + bytes(4) + bytes(range(16)), bytes([136, 0, 0, 0, 0xE0, 0, 0, 0]) + bytes(range(16)), bytes([137, 0, 0, 0]) + bytes(4) + bytes(range(32))]
    for head, kind, length in itertools.product(heads, (1, 3, 5), (0, 1, 2, 4, 255)):
        add(family, message(head + bytes([kind, length]) + bytes(6)))
    for kind in (1, 2, 3, 4, 5, 9, 14, 25, 31, 200):
        for length in (0, 1, 2, 3, 4, 5):
            add(family, message(heads[2] + bytes([kind, length]) + noise(max(6, 8 * length - 2))))
    for short in range(1, 8):
        add(family, message(heads[2] + bytes([1, 1, 2, 0, 0, 0, 0, 1])[:short]))
    for hlim in (0, 64, 254):
        add(family, eth() / ip6(hlim=hlim) / ICMPv6ND_NS(tgt="fe80::2") / source)
    # Multicast listeners, and numbers without a view of their own.
    add(family, eth() / local() / ICMPv6MLQuery(mladdr="ff02::5", mrd=1000))
    add(family, eth() / local() / ICMPv6MLReport(mladdr="ff02::5"))
    add(family, eth() / local() / ICMPv6MLDone(mladdr="ff02::5"))
    add(family, eth() / local() / ICMPv6MLReport2())
    for kind in (0, 5, 100, 101, 127, 138, 139, 140, 141, 142, 144, 145, 148, 149, 151, 200, 201, 255):
        add(family, message(bytes([kind, 0, 0, 0]) + bytes(28)))
    for kind, size in ((1, 8), (2, 8), (3, 8), (4, 8), (128, 8), (129, 8), (133, 8), (134, 16), (135, 24), (136, 24), (137, 40)):
        whole = bytes([kind, 0, 0, 0]) + bytes(range(1, size - 3))
        for wrong in (b"\0\0", b"\xff\xff", b"\xab\xcd"):
            add(family, eth() / local(nh=58) / patched(whole, 2, wrong))
        for short in sorted({1, 3, 4, 7, size - 1, size}):
            add(family, message(whole[:short]) if short >= 4 else eth() / local(nh=58) / whole[:short])


def tunnels():
    family = "tunnels"
    inner4 = ip4(src="10.1.0.1", dst="10.2.0.2") / UDP(sport=11, dport=12) / b"inner four"
    inner6 = ip6(src="fd00::1", dst="fd00::2") / TCP(sport=13, dport=14, flags="S")
    frame = Ether(dst="02:00:00:00:00:bb", src="02:00:00:00:00:aa")

    # GRE: all combinations of its flags.
    for c, k, s in itertools.product((0, 1), repeat=3):
        for payload, number in ((inner4, 0x0800), (inner6, 0x86DD), (frame / inner4, 0x6558), (Raw(noise(12)), 0x1234)):
            fields = {"chksum_present": c, "key_present": k, "seqnum_present": s, "proto": number}
            if k:
                fields["key"] = 0x01020304
            if s:
                fields["sequence_number"] = 0xFFFFFFFE
            for outer in (ip4(proto=47), ip6(nh=47)):
                packet = bytes(eth() / outer / GRE(**fields) / payload)
                add(family, packet)
                if c:
                    at = 14 + (20 if outer.name == "IP" else 40)
                    add(family, patched(packet, at + 4, b"\x0b\xad"))
    for flags in (0x4000, 0x0800, 0x0700, 0x0001, 0x0002, 0x0007, 0x0078, 0x2001, 0x3001, 0x3081, 0xC000):
        add(family, eth() / ip4(proto=47) / struct.pack(">HH", flags, 0x0800) / bytes(inner4))
        add(family, eth() / ip4(proto=47) / struct.pack(">HH", flags, 0x880B) / struct.pack(">HH", 8, 1) / noise(16))
    whole = bytes(GRE(chksum_present=1, key_present=1, seqnum_present=1, proto=0x0800, key=5, sequence_number=6))
    for short in range(len(whole)):
        add(family, padded(eth() / ip4(proto=47) / whole[:short]))
    # MPLS.
    for depth in range(1, 8):
        for payload, name in ((inner4, "4"), (inner6, "6")):
            packet = eth(0x8847)
            for level in range(depth):
                packet = packet / MPLS(label=100 + level, cos=level % 8, s=int(level == depth - 1), ttl=64 - level)
            add(family, packet / payload)
    for label in (0, 1, 2, 3, 7, 13, 14, 15, 16, 0xFFFFF):
        for cos, ttl in ((0, 0), (7, 255)):
            add(family, eth(0x8847) / MPLS(label=label, cos=cos, s=1, ttl=ttl) / (inner6 if label == 2 else inner4))
            add(family, eth(0x8848) / MPLS(label=label, cos=cos, s=1, ttl=ttl) / (inner6 if label == 2 else inner4))
    add(family, eth() / Dot1Q(vlan=7, type=0x8847) / MPLS(label=500, s=1, ttl=5) / inner4)
    for first in (0x00, 0x10, 0x20, 0x50, 0x70, 0xF0):
        add(family, eth(0x8847) / MPLS(label=600, s=1, ttl=5) / (bytes([first]) + noise(30)))
    cuts(family, eth(0x8847) / MPLS(label=1000, s=0, ttl=5) / MPLS(label=1001, s=1, ttl=6) / inner4, 14)
    # VXLAN.
    for vni in (0, 1, 5000, 0xFFFFFF):
        for payload in (frame / inner4, frame / inner6, frame / Dot1Q(vlan=9) / inner4, frame / ARP(psrc="10.0.0.1", pdst="10.0.0.2", hwsrc="02:00:00:00:00:aa")):
            for outer in (ip4(), ip6()):
                add(family, eth() / outer / UDP(sport=50000 + vni % 1000, dport=4789) / VXLAN(vni=vni, flags=0x08) / payload)
    for flags in (0x00, 0x01, 0x88, 0xFF, 0x0C):
        add(family, eth() / ip4() / UDP(sport=50000, dport=4789) / struct.pack(">BBHI", flags, 0, 0, 42 << 8) / (frame / inner4))
    add(family, eth() / ip4() / UDP(sport=50000, dport=4789) / struct.pack(">BBHI", 8, 1, 2, 42 << 8 | 3) / (frame / inner4))
    vxlan = bytes(VXLAN(vni=77, flags=8) / frame / inner4)
    for short in list(range(0, 9)) + [15, 21, 22, 30, 41, 45, 50]:
        add(family, padded(eth() / ip4() / UDP(sport=50000, dport=4789) / vxlan[:short]))
    # IP in IP, and everything in everything.
    for outer, number in ((ip4, {"proto": 4}), (ip4, {"proto": 41}), (ip6, {"nh": 4}), (ip6, {"nh": 41})):
        payload = inner4 if 4 in number.values() else inner6
        add(family, eth() / outer(**number) / payload)
        add(family, eth() / outer(**number) / Raw(bytes(payload)[:-3]))
        add(family, eth() / Dot1Q(vlan=3) / outer(**number) / payload)
    add(family, eth() / ip4() / ip4() / ip4() / ip4() / ip6() / ip6() / inner4)
    add(family, eth() / ip4() / GRE(proto=0x0800) / ip4() / GRE(proto=0x86DD) / ip6() / GRE(proto=0x6558) / frame / inner4)
    add(family, eth() / ip4() / UDP(sport=1, dport=4789) / VXLAN(vni=1, flags=8) / frame / ip4() / UDP(sport=1, dport=4789) / VXLAN(vni=2, flags=8) / frame / inner6)
    add(family, eth() / ip4() / GRE(proto=0x8847) / MPLS(label=99, s=1, ttl=9) / inner4)
    add(family, eth() / ip4(proto=137) / MPLS(label=99, s=1, ttl=9) / inner4)
    add(family, eth() / ip6(nh=60) / extension(47, b"\1\4\0\0\0\0") / GRE(proto=0x0800) / inner4)


def damaged():
    """Some packets of every family with a few bits of their headers turned over."""
    whole = [(family, data) for family, packets in files.items() for data in packets if len(data) > 34]
    for _ in range(400):
        _, data = rng.choice(whole)
        data = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(12, min(len(data), 90))
            data[at] ^= 1 << rng.randrange(8)
        add("damaged", data)


def write(family, packets):
    with open(OUT / f"{family}.pcap", "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, data in enumerate(packets):
            out.write(struct.pack("<IIII", 1_600_000_000, number, len(data), len(data)))
            out.write(data)


def main():
    random.seed(0xF1)  # what scapy itself draws
    OUT.mkdir(exist_ok=True)
    for family in (ethernet, vlan, arp, ipv4, ipv6, udp, tcp, icmp, icmpv6, tunnels, damaged):
        family()
    for family, packets in files.items():
        write(family, packets)
        print(f"{family}: {len(packets)}")
    print(f"all: {sum(map(len, files.values()))}")


main()
