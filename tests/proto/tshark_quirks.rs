//! Where tshark differs from our views, and why.

use fluxcap::proto::{Fault, ParseError};

/// Something that tshark does wherever it can, and we do not.
///
/// The [walk](crate::walk) does it in tshark's stead, so that each field, of this part of the packet and of all others, is held against
/// what tshark must then say. Found with tshark 4.0, that of Debian 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quirk {
    OldTag,
    LengthZero,
    LengthAbove1500,
    LlcControl,
    LlcIp,
    ChannelLabel,
    AuthenticationInIpv4,
    ExtensionsInIpv4,
    IcmpOfOtherVersion,
    Ipv4Pointer,
    Ipv4SourceRoute,
    Ipv4BrokenRoute,
    Ipv4OptionTooShort,
    Ipv4OptionLength,
    Ipv6SourceRoute,
    Ipv6OptionBehindHeader,
    Ipv6OptionLength,
    Calipso,
    MobileRouting,
    SegmentRouting,
    CompactRouting,
    UdpPayload,
    VxlanSource,
    TcpPadding,
    TcpReset,
    TcpReserved,
    TcpOptionLength,
    Redirect,
    QuotedNothing,
    QuotedVersion,
    Ipv6InIpv4,
    IcmpTooShort,
    IcmpPointer,
    IcmpQuery,
    IcmpAdvertisement,
    NdpAddress,
    NdpRoute,
    NdpOptionTooShort,
    ArpError,
    Icmpv6Others,
    ArpOthers,
    GreOthers,
    VxlanFlags,
    Codes,
    NinthExtension,
    NoByte,
    MplsNothing,
    MultipathTcp,
    Jumbogram,
    FirstFragment,
}

/// Why our views do not.
pub(crate) const QUIRKS: &[(Quirk, &str)] = &[
    (
        Quirk::OldTag,
        "0x9100 was no standard's VLAN tag: no EtherType of ours",
    ),
    (
        Quirk::LengthZero,
        "a length of 0 is an EtherType for tshark",
    ),
    (
        Quirk::LengthAbove1500,
        "1501 to 1535 are neither lengths nor EtherTypes in IEEE 802.3; for us they are lengths",
    ),
    (
        Quirk::LlcControl,
        "tshark reads a control field of two bytes as little-endian",
    ),
    (
        Quirk::LlcIp,
        "IP over LLC without SNAP was never standardised for Ethernet (RFC 1042): data for us",
    ),
    (
        Quirk::ChannelLabel,
        "tshark does not guess what is behind the label of an associated channel (RFC 5586); behind a label that is at the bottom we do",
    ),
    (
        Quirk::AuthenticationInIpv4,
        "behind IPv4, an authentication header is what the packet carries",
    ),
    (
        Quirk::ExtensionsInIpv4,
        "behind IPv4, IPv6 extension headers are data",
    ),
    (
        Quirk::IcmpOfOtherVersion,
        "ICMP in IPv6, and ICMPv6 in IPv4, are data: their checksums are not defined",
    ),
    (
        Quirk::Ipv4Pointer,
        "with a pointer to the middle of an address tshark shows no addresses; we show all",
    ),
    (
        Quirk::Ipv4SourceRoute,
        "with a source route, tshark calls its last station the destination, we what the field holds",
    ),
    (
        Quirk::Ipv4OptionTooShort,
        "tshark ends at an option that is too short for its kind; for us it is another",
    ),
    (
        Quirk::Ipv4OptionLength,
        "an IPv4 option that is another for us may have any length",
    ),
    (
        Quirk::Ipv6SourceRoute,
        "with a routing header, the checksum covers its last station: `Ipv6::pseudo_header` has the next one",
    ),
    (
        Quirk::Ipv6OptionBehindHeader,
        "tshark reads options on behind the end of their header, if the packet is longer",
    ),
    (
        Quirk::Ipv4BrokenRoute,
        "of a source route whose addresses are not whole, tshark has no destination",
    ),
    (
        Quirk::Ipv6OptionLength,
        "an IPv6 option that is another for us may have any length",
    ),
    (
        Quirk::ArpError,
        "of a DRARP error, tshark shows the number of the error in the place of this address",
    ),
    (
        Quirk::Icmpv6Others,
        "of ICMPv6 messages other than echo, errors and neighbor discovery there is the general view alone",
    ),
    (
        Quirk::MplsNothing,
        "behind the last label tshark wants a byte at least",
    ),
    (
        Quirk::MultipathTcp,
        "tshark gives up on an option of multipath TCP that is too short",
    ),
    (
        Quirk::Jumbogram,
        "an IPv6 payload length of 0 is 0 for us; tshark looks for a jumbogram (RFC 2675)",
    ),
    (
        Quirk::Calipso,
        "tshark looks into the option of RFC 5570, which is another for us, and ends at wrong lengths in it",
    ),
    (
        Quirk::MobileRouting,
        "tshark ends at a routing header of type 2 without address; we have none then",
    ),
    (
        Quirk::SegmentRouting,
        "tshark ends at segment routing with fewer addresses than announced; we have those that are there",
    ),
    (
        Quirk::CompactRouting,
        "tshark fails at routing headers of type 5 (draft-bonica-6man-comp-rtg-hdr)",
    ),
    (
        Quirk::UdpPayload,
        "tshark's UDP payload goes on behind the datagram, to the end of the IP packet",
    ),
    (
        Quirk::VxlanSource,
        "tshark looks for VXLAN from port 4789, too; it goes to that port",
    ),
    (
        Quirk::TcpPadding,
        "what is behind the end of the options is padding; tshark calls every byte of it an end",
    ),
    (
        Quirk::TcpReset,
        "tshark shows the data of a reset as its cause",
    ),
    (
        Quirk::TcpReserved,
        "tshark's flags are twelve bits, with the four that are reserved",
    ),
    (
        Quirk::TcpOptionLength,
        "a TCP option of a length that its kind cannot have is another option for us",
    ),
    (
        Quirk::QuotedNothing,
        "of nothing quoted, tshark minds that in ICMPv6; there is no view of nothing",
    ),
    (
        Quirk::QuotedVersion,
        "what an ICMPv6 error quotes is data for tshark unless it starts as IPv6",
    ),
    (
        Quirk::Ipv6InIpv4,
        "tshark takes IPv6 where IPv4 is announced; for us it is a wrong version",
    ),
    (
        Quirk::Redirect,
        "of the packet that a redirect quotes, tshark reads eight bytes behind the header and no more (RFC 792)",
    ),
    (
        Quirk::IcmpTooShort,
        "tshark shows nothing of an ICMP header that is not whole; of its first four bytes there is a view",
    ),
    (
        Quirk::IcmpPointer,
        "only code 0 has a pointer (RFC 792); tshark shows the byte with any code",
    ),
    (
        Quirk::IcmpQuery,
        "of timestamps, address masks and information there is the general view alone",
    ),
    (
        Quirk::IcmpAdvertisement,
        "the same of router advertisements",
    ),
    (
        Quirk::NdpAddress,
        "an address that is not one of Ethernet is another option",
    ),
    (
        Quirk::NdpRoute,
        "tshark has the same names for the prefix of the option of RFC 4191, which is another for us",
    ),
    (
        Quirk::NdpOptionTooShort,
        "tshark reads into options that are others for us, and finds them too short for what they should be",
    ),
    (
        Quirk::ArpOthers,
        "our view of ARP is that for IPv4 over Ethernet",
    ),
    (
        Quirk::GreOthers,
        "our view of GRE is that of version 0 without routing (RFC 2784, RFC 2890)",
    ),
    (
        Quirk::VxlanFlags,
        "a VXLAN header must have its flag (RFC 7348); tshark does not look at it",
    ),
    (
        Quirk::Codes,
        "the code of these messages is 0; tshark takes any",
    ),
    (
        Quirk::NinthExtension,
        "we look behind eight extension headers, tshark behind more",
    ),
    (
        Quirk::NoByte,
        "of a header in an IP packet of which there is no byte, tshark says nothing",
    ),
    (
        Quirk::FirstFragment,
        "the first fragment of a datagram is shorter than that: whoever asks for the view knows that it is one",
    ),
];

/// Why tshark does not mind what is an error for us.
pub(crate) fn quirk_of(error: ParseError, is_fragment: bool) -> Option<Quirk> {
    let is_nothing = matches!(error.fault(), Fault::Truncated { available: 0, .. });
    match (error.protocol(), error.field()) {
        ("ARP", "hardware type" | "protocol type" | "hardware length" | "protocol length") => {
            Some(Quirk::ArpOthers)
        }
        ("GRE", "version") => Some(Quirk::GreOthers),
        ("VXLAN", "header") if is_nothing => Some(Quirk::NoByte),
        ("VXLAN", "flags") => Some(Quirk::VxlanFlags),
        ("ICMP echo" | "ICMPv6 echo" | "ICMPv6 router advertisement", "code") => Some(Quirk::Codes),
        ("IPv6 extension", "next header of the eighth") => Some(Quirk::NinthExtension),
        ("UDP", "length") if is_fragment && error.is_truncated() => Some(Quirk::FirstFragment),
        _ => None,
    }
}
