"""What several tests share: a clock that only moves when told, small sources and engines, servers, displays."""
