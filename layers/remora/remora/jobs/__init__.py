"""Work that takes longer than a call: reading large documents, exports and imports.

A job is an object in the memory's bucket that says what to do and how far it is. Whatever starts or continues it is
the creation of another object: the upload of its file, or a request. S3 tells the ingest function, so the connector
needs to reach nothing but S3. What the jobs of a space have in the bucket:

    jobs/<space>/<id>/job.json           what is to be done, and how far it is
    jobs/<space>/<id>/request-<n>.json   starts a job that needs no file, and continues one that ran out of time
    uploads/<space>/<id>/file            the file to read, sent to a signed URL
    exports/<space>/<id>/memory.jsonl    the file that was written, fetched from a signed URL

All of it expires after some days; the memories themselves are in the journal.
"""
