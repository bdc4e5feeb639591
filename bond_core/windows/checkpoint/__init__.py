"""Write a window engine down, whole, and make one of what was written that goes on from there.

- `dump`: an engine → lines of JSON, one thing a line, so that no step takes long
- `load`: the lines → an engine, or an error that says why not
- `lines`: what each line holds: closed, and with a version
- `plain`: authors' partials and events as JSON that says what each value was
- `identity`: what spec and program a snapshot belongs to
"""
