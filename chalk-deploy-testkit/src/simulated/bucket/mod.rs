//! A bucket server: the part of S3 that object_store speaks.
