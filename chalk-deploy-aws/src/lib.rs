//! Amazon Web Services under chalk-deploy: S3, ECR, EKS and the credentials for them.
