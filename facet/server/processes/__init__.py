"""Several server processes on one port: started, watched, and measured as one server."""
