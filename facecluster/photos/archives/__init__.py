"""Archives of photos: tar, zip, Parquet, RecordIO and LMDB; each lists its members, and opens one without reading the others."""
