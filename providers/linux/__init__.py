"""What a Linux host does for a failover: it holds, or gives up, an address that moves between sites."""
