"""What several tests share: a clock that moves only when told, small sources and engines, servers, displays."""
