"""How every command starts, reports errors and ends; what programs are called; signals. No torch."""
