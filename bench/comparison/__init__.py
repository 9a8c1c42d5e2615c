"""What bench/compare is made of: processes, lines, measurements, tables."""
