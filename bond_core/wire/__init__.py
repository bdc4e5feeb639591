"""How records look outside: JSON bytes, made once for everybody."""
