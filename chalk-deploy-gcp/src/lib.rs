//! Google Cloud under chalk-deploy: Cloud Storage, Artifact Registry, GKE and the credentials for them.
