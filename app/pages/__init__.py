"""One module per page: layout and wiring only."""
