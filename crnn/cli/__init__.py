"""How every command of this project begins, reports and ends. No torch."""
