//! What one key may still spend.

use crate::Halt;

/// What one key may still spend on the moment at hand.
pub(super) struct Purse {
    /// Steps that are left to the key.
    pub(super) steps: u64,
    /// Bytes that no other key holds, nor this one.
    pub(super) bytes: u64,
}

impl Purse {
    /// Takes steps.
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), Halt> {
        self.steps = self.steps.checked_sub(steps).ok_or(Halt::Steps)?;
        Ok(())
    }

    /// Whether there are so many bytes more.
    pub(super) fn hold(&self, bytes: u64) -> Result<(), Halt> {
        if bytes > self.bytes { Err(Halt::Bytes) } else { Ok(()) }
    }
}
