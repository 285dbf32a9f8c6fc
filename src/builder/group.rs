//! Turns the requested configuration into several sockets on one queue.

use super::fill::no_free_frame;
use super::{FluxBuilder, Program, bind};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::{self, FanOut, MEMBERS, Rings, Sharing};
use crate::packet::LeasedSocket;
use crate::raw::{Cycle, FluxRaw, Hub, Place, Waiting};
use crate::report::Report;

impl FluxBuilder {
    /// Shares the packets of the queue out among several sockets, one for each thread: for a device with fewer queues than there are
    /// processors to work on its packets. [`build_group`](Self::build_group) makes them.
    ///
    /// The XDP program looks at each packet for that; where the device has queues enough, a socket on each of them is cheaper.
    pub fn fan_out(mut self, fan_out: FanOut) -> Self {
        self.fan_out = fan_out;
        self
    }

    /// Makes the sockets that [`fan_out`](Self::fan_out) asks for, on one queue and one UMEM.
    ///
    /// All packets of a flow come to the same socket: the one whose index is [`FlowKey::member`](crate::proto::FlowKey::member) of the
    /// flow's hash. Each socket has an RX and a TX ring for itself; fill and completion ring are one for all, and every call that gives
    /// frames to the kernel or takes them back does so for the others, too. No socket ever waits for another one. But while the thread
    /// that moves the frames is held up, no new ones reach the kernel: give the fill ring room for that time.
    ///
    /// The sockets can be used on threads of their own and closed in any order. What comes for one that is closed goes on to the
    /// kernel's network stack. Frames that a closed socket has not sent come home when the last one of the group is closed.
    ///
    /// ```no_run
    /// use fluxcap::{FanOut, FluxBuilder};
    ///
    /// let group = FluxBuilder::new("veth0")
    ///     .fan_out(FanOut { sockets: 4, symmetric: true })
    ///     .build_group()?;
    /// for mut raw in group {
    ///     std::thread::spawn(move || {
    ///         while raw.wait_rx(None).is_ok() {
    ///             raw.inspect(64, |packet| println!("{} bytes", packet.len()));
    ///         }
    ///     });
    /// }
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), but [`Permission`](ErrorKind::Permission) also without CAP_PERFMON; [`Invalid`](ErrorKind::Invalid) also for no socket or more than 16, and
    /// [`Unsupported`](ErrorKind::Unsupported) with an [`xskmap`](Self::xskmap) of your own.
    pub fn build_group(mut self) -> Result<Vec<FluxRaw>> {
        let sockets = self.fan_out.sockets;
        if sockets == 1 {
            return self.build().map(|raw| vec![raw]);
        }
        self.check_group()?;
        let (interface, prepared) = self.prepare()?;
        let backend = self.link.backend();
        let frames = prepared.umem.frames();
        let leases = frames.leases(sockets + 1)?;
        let steering = self.steering(&prepared.umem)?;
        let opened = backend.open(&self.socket, &prepared.umem)?;
        let Rings {
            fill,
            rx,
            tx,
            completion,
        } = opened.rings;
        let mut seats = Hub::seats(fill, completion, &leases)?.into_iter();
        let free = frames.at_home();
        let rx_slots = rx.size().saturating_mul(sockets);
        let only_sends = self.only_sends();
        let mut cycle = |rx, tx| -> Result<_> {
            let Some(seat) = seats.next() else {
                return Ok(None);
            };
            let mut cycle = Cycle::member(seat, rx, tx, free, rx_slots)?;
            if only_sends {
                cycle.only_send(free);
            }
            Ok(Some(cycle))
        };
        let notes = self.notes(&interface, steering.as_deref());
        let mut group = Vec::with_capacity(sockets as usize);
        let mut enter =
            |cycle: Option<Cycle>, socket: LeasedSocket<dyn kernel::Socket>, mut report: Report| {
                report.notes.clone_from(&notes);
                group.extend(cycle.map(|cycle| FluxRaw {
                    cycle,
                    place: None,
                    umem: prepared.umem.clone(),
                    link: self.link.clone(),
                    interface: interface.clone(),
                    report,
                    waiting: Waiting::default(),
                    socket,
                }));
            };
        let mut first = cycle(rx, tx)?;
        match &mut first {
            Some(cycle) => self.fill(cycle, &prepared.umem)?,
            None => return Err(no_free_frame(&prepared.umem)),
        }
        let (leased, bound) = bind(opened.socket, leases.clone())?;
        let socket = leased.shared().clone();
        // The others get what the first one got.
        self.socket.need_wakeup = bound.need_wakeup.achieved;
        enter(first, leased, prepared.report(bound, steering.as_deref()));
        for _ in 1..sockets {
            let other = backend.share(&self.socket, &socket, &prepared.umem)?;
            let Sharing { socket, rx, tx } = other;
            let cycle = cycle(rx, tx)?;
            let (leased, bound) = bind(socket, leases.clone())?;
            enter(cycle, leased, prepared.report(bound, steering.as_deref()));
        }
        if let Some(steering) = steering {
            let queue = self.socket.queue;
            steering.fan_out(queue, self.fan_out)?;
            for (member, raw) in (0..).zip(&mut group) {
                let key = kernel::Place { queue, member };
                raw.place = Some(Place::take(steering.clone(), key, &*raw.socket)?);
            }
        }
        for raw in &group {
            raw.wake_rx()?;
        }
        Ok(group)
    }

    fn check_group(&self) -> Result<()> {
        let sockets = self.fan_out.sockets;
        if !(1..=MEMBERS).contains(&sockets) {
            return Err(FluxError::invalid(
                format_args!("a queue shared out among {sockets} sockets"),
                format_args!("it takes 1 to {MEMBERS}"),
                "use as many as you have processors for them",
            ));
        }
        if matches!(self.program, Program::Xskmap(_)) {
            return Err(FluxError::new(
                ErrorKind::Unsupported,
                errno::EOPNOTSUPP,
                format_args!("a queue shared out among {sockets} sockets"),
                "the XSKMAP was given, and its own program decides where packets go",
                "use the bundled program",
            ));
        }
        Ok(())
    }
}
