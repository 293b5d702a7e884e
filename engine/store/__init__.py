"""Redis behind one wall: connections, keys, records, scripts."""
