//! Both ends together, over carriers that can be cut, under a paused clock.

mod cable;
mod flow;
mod resume;
mod timers;
mod who;
mod world;
