//! What packets are parsed as, in C.

use super::sized::Sized32;
use crate::error::{FluxError, Result};
use crate::proto::{EtherType, Parser};

/// What packets are parsed as in networks that use other numbers than the standards, for
/// fluxcap_parse_with(). A list of fewer than four numbers ends with 0; all 0 is what
/// fluxcap_parse() does.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_parser {
    /// sizeof(struct fluxcap_parser).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// What announces a VLAN tag besides 0x8100 and 0x88a8: devices from before IEEE 802.1ad use
    /// 0x9100, 0x9200 and 0x9300.
    pub vlan_types: [u16; 4],
    /// UDP ports that VXLAN comes to besides 4789: 8472 is what Linux takes unless told otherwise.
    pub vxlan_ports: [u16; 4],
    /// UDP ports that GRE comes to, such as 4754 (RFC 8086).
    pub gre_ports: [u16; 4],
}

// SAFETY: `repr(C)`, plain numbers without padding, the first a `u32`.
unsafe impl Sized32 for fluxcap_parser {
    const NAME: &'static str = "fluxcap_parser";
}

const _: () = assert!(size_of::<fluxcap_parser>() == 32);

impl fluxcap_parser {
    /// Calls `then` with the parser that this describes.
    pub(super) fn with<R>(&self, then: impl FnOnce(&Parser<'_>) -> Result<R>) -> Result<R> {
        if self.reserved != 0 {
            return Err(FluxError::invalid(
                "struct fluxcap_parser",
                "reserved is not 0",
                "set all that is not used to zero",
            ));
        }
        let vlan_types = self.vlan_types.map(EtherType);
        let up_to_0 = |numbers: &[u16; 4]| {
            let end = numbers.iter().position(|&number| number == 0);
            end.unwrap_or(numbers.len())
        };
        let parser = Parser::new()
            .vlan_types(&vlan_types[..up_to_0(&self.vlan_types)])
            .vxlan_ports(&self.vxlan_ports[..up_to_0(&self.vxlan_ports)])
            .gre_ports(&self.gre_ports[..up_to_0(&self.gre_ports)]);
        then(&parser)
    }
}
