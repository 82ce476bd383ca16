//! The tests of the room, with real guests.
