//! Microsoft Azure under chalk-deploy: Blob Storage, ACR, AKS and the credentials for them.
