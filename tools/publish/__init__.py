"""What a release of the project consists of: the zip, the worker's wheel, their contents and checksums, the notes."""
