"""Which job starts where now, and what follows from each failure: pure decisions over the events so far."""

from __future__ import annotations

from runner.schedule.machine import Alarm, Ended, Schedule, Start
from runner.schedule.order import Ticket
from runner.schedule.tolerance import Limits

__all__ = ["Alarm", "Ended", "Limits", "Schedule", "Start", "Ticket"]
