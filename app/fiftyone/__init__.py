"""Runs in FiftyOne. What imports `fiftyone` here runs only where MongoDB was found first."""
