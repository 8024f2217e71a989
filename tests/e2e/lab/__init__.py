"""The lab: two sites, a control site and clients on network namespaces, faults that prove themselves, and a judge."""
