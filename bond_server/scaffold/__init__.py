"""Write a plugin's package to begin with: it installs, and passes the conformance kit, offline."""
