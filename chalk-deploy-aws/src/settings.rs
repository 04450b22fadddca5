//! What the builder has gathered, checked.

use chalk_deploy_core::{Error, ErrorCode, Result, text};

/// The services that are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    S3,
    Ecr,
    Eks,
    Sts,
    Sqs,
}

impl Service {
    /// As signatures name it.
    pub(crate) const fn signing_name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Ecr => "ecr",
            Self::Eks => "eks",
            Self::Sts => "sts",
            Self::Sqs => "sqs",
        }
    }

    /// The first labels of its host ("Service endpoints and quotas" of the general reference).
    const fn host_prefix(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Ecr => "api.ecr",
            Self::Eks => "eks",
            Self::Sts => "sts",
            Self::Sqs => "sqs",
        }
    }

    /// The variable of the SDKs that names another endpoint ("Service-specific endpoints" of the SDK reference).
    pub(crate) const fn endpoint_variable(self) -> &'static str {
        match self {
            Self::S3 => "AWS_ENDPOINT_URL_S3",
            Self::Ecr => "AWS_ENDPOINT_URL_ECR",
            Self::Eks => "AWS_ENDPOINT_URL_EKS",
            Self::Sts => "AWS_ENDPOINT_URL_STS",
            Self::Sqs => "AWS_ENDPOINT_URL_SQS",
        }
    }

    pub(crate) const ALL: [Self; 5] = [Self::S3, Self::Ecr, Self::Eks, Self::Sts, Self::Sqs];
}

/// A region, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Region(String);

impl Region {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let usable = !name.is_empty()
            && name.len() <= 40
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && name.contains('-')
            && !name.starts_with('-')
            && !name.ends_with('-');
        if usable {
            return Ok(Self(name.to_owned()));
        }
        Err(Error::new(ErrorCode::ValueInvalid, "this is no region of AWS")
            .on(format!("region `{}`", text::line(name, 60)))
            .with_hint("name one such as `us-east-1`, with `with_region` or the variable AWS_REGION"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain of its partition.
    pub(crate) fn domain(&self) -> &'static str {
        match self.partition() {
            "aws-cn" => "amazonaws.com.cn",
            "aws-eusc" => "amazonaws.eu",
            _ => "amazonaws.com",
        }
    }

    /// Its partition, as ARNs name it.
    pub(crate) fn partition(&self) -> &'static str {
        partition(&self.0)
    }
}

/// The partition of a region, as ARNs name it ("Partitions" of the whitepaper "AWS fault isolation boundaries").
pub(crate) fn partition(region: &str) -> &'static str {
    match region.split('-').next().unwrap_or_default() {
        "cn" => "aws-cn",
        "eusc" => "aws-eusc",
        "us" if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Where the services are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Endpoints {
    all: Option<String>,
    each: [Option<String>; Service::ALL.len()],
}

impl Endpoints {
    /// Another endpoint for all services, such as that of an emulator.
    pub(crate) fn set_all(&mut self, url: &str) -> Result<()> {
        self.all = Some(checked(url)?);
        Ok(())
    }

    pub(crate) fn set(&mut self, service: Service, url: &str) -> Result<()> {
        self.each[service as usize] = Some(checked(url)?);
        Ok(())
    }

    /// The endpoint that was set, if one was.
    pub(crate) fn given(&self, service: Service) -> Option<&str> {
        self.each[service as usize].as_deref().or(self.all.as_deref())
    }

    /// Scheme and host, without a slash at the end.
    pub(crate) fn of(&self, service: Service, region: &Region) -> String {
        self.given(service).map_or_else(
            || format!("https://{}.{}.{}", service.host_prefix(), region.as_str(), region.domain()),
            str::to_owned,
        )
    }
}

/// `http[s]://host[:port]`. Which hosts may be asked over plain HTTP is the transport's to say.
fn checked(url: &str) -> Result<String> {
    let refused = |why: &str| {
        Error::new(ErrorCode::ValueInvalid, why)
            .on("endpoint")
            .with_hint("write an endpoint as `https://host[:port]`, without a path, a query or a password")
    };
    let uri: http::Uri = url.parse().map_err(|_| refused("this is no endpoint of a service"))?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(refused("an endpoint begins with `https://` and names a host"));
    };
    if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(refused("an endpoint is a scheme, a host and perhaps a port"));
    }
    // Of the text itself nothing stays: what follows a `#` is no part of an address, and would swallow the path.
    if url.contains('#') {
        return Err(refused("an endpoint is a scheme, a host and perhaps a port"));
    }
    Ok(format!("{scheme}://{authority}"))
}

/// The registry of one account in one region, and the names below which our repositories lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegistryName {
    /// `<account>.dkr.ecr.<region>.amazonaws.com`, or an emulator's.
    pub(crate) host: String,
    /// The account; an emulator's host names none.
    pub(crate) account: Option<String>,
}

impl RegistryName {
    /// Reads a host. One that is no host of ECR is an emulator's, and must be said to be one.
    pub(crate) fn new(host: &str, region: &Region, emulated: bool) -> Result<Self> {
        let refused = |why: String, hint: &str| {
            Error::new(ErrorCode::ValueInvalid, why)
                .on(format!("registry `{}`", text::line(host, 100)))
                .with_hint(hint.to_owned())
        };
        let host = host.to_ascii_lowercase();
        if emulated {
            let usable = !host.is_empty() && host.parse::<http::uri::Authority>().is_ok() && !host.contains('@');
            return usable
                .then_some(Self { host: host.clone(), account: None })
                .ok_or_else(|| refused("this is no host of a registry".to_owned(), "write `host[:port]`"));
        }
        let mut parts = host.splitn(2, ".dkr.ecr.");
        let (account, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let account = account_id(account).map_err(|_| {
            refused(
                "this is no registry of ECR".to_owned(),
                "write `<account>.dkr.ecr.<region>.amazonaws.com`, as the console shows it",
            )
        })?;
        let expected = format!("{}.{}", region.as_str(), region.domain());
        if rest != expected {
            return Err(refused(
                format!("the registry is not in the region {}", region.as_str()),
                "name the registry of the same region, or set that region with `with_region`",
            ));
        }
        Ok(Self { host, account: Some(account) })
    }
}

/// The number of an account: twelve digits.
pub(crate) fn account_id(account: &str) -> Result<String> {
    if account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(account.to_owned());
    }
    Err(Error::new(ErrorCode::ValueInvalid, "an account of AWS is twelve digits")
        .on(format!("account `{}`", text::line(account, 40)))
        .with_hint("copy the number from the console, without hyphens"))
}

/// The name of a cluster (`CreateCluster` of the EKS API reference).
pub(crate) fn cluster_name(name: &str) -> Result<String> {
    let usable = (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && name.as_bytes()[0].is_ascii_alphanumeric();
    if usable {
        return Ok(name.to_owned());
    }
    Err(Error::new(ErrorCode::ValueInvalid, "no cluster of EKS has such a name")
        .on(format!("cluster `{}`", text::line(name, 100)))
        .with_hint("name it as `aws eks list-clusters` does: letters, digits, hyphens and underscores"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        Region::new(name).expect("a region")
    }

    #[test]
    fn every_service_has_the_endpoint_of_its_region_and_partition_unless_another_is_set() {
        let mut endpoints = Endpoints::default();
        let east = region("us-east-1");
        assert_eq!(endpoints.of(Service::Ecr, &east), "https://api.ecr.us-east-1.amazonaws.com");
        assert_eq!(endpoints.of(Service::Eks, &region("cn-north-1")), "https://eks.cn-north-1.amazonaws.com.cn");
        assert_eq!(endpoints.of(Service::Sts, &region("us-gov-west-1")), "https://sts.us-gov-west-1.amazonaws.com");
        assert_eq!(endpoints.of(Service::Sqs, &region("eusc-de-east-1")), "https://sqs.eusc-de-east-1.amazonaws.eu");
        assert_eq!(partition("us-gov-west-1"), "aws-us-gov");
        endpoints.set_all("http://127.0.0.1:5000/").expect("an endpoint");
        endpoints.set(Service::S3, "https://minio.example").expect("an endpoint");
        assert_eq!(endpoints.of(Service::Sts, &east), "http://127.0.0.1:5000");
        assert_eq!(endpoints.of(Service::S3, &east), "https://minio.example");
    }

    #[test]
    fn what_would_lead_requests_elsewhere_is_refused_without_being_shown() {
        for url in [
            "",
            "host",
            "ftp://h",
            "https://user:hidden@h",
            "https://h/hidden",
            "https://h?hidden=1",
            "https://h#hidden",
        ] {
            let error = Endpoints::default().set_all(url).expect_err(url);
            assert_eq!(error.code(), ErrorCode::ValueInvalid);
            assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
        }
        for name in ["", "us-east-1.evil.example", "US-EAST-1", "useast1", "-us", "us-east-1/", "us east"] {
            assert_eq!(Region::new(name).expect_err(name).code(), ErrorCode::ValueInvalid);
        }
    }

    #[test]
    fn a_registry_is_that_of_an_account_in_the_region() {
        let east = region("us-east-1");
        let name = RegistryName::new("123456789012.dkr.ecr.us-east-1.amazonaws.com", &east, false).expect("a registry");
        assert_eq!(name.account.as_deref(), Some("123456789012"));
        for wrong in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example",
            "12345.dkr.ecr.us-east-1.amazonaws.com",
            "docker.io",
            "",
        ] {
            let error = RegistryName::new(wrong, &east, false).expect_err(wrong);
            assert_eq!(error.code(), ErrorCode::ValueInvalid);
        }
        assert_eq!(RegistryName::new("127.0.0.1:5001", &east, true).expect("an emulator").account, None);
        RegistryName::new("user@host", &east, true).expect_err("no host");
    }

    #[test]
    fn names_of_clusters_cannot_change_the_path_of_a_request() {
        cluster_name("chalk_prod-1").expect("a name");
        for wrong in ["", "-a", "a/b", "..", "a b", "a?b", "ä", &"a".repeat(101)] {
            assert_eq!(cluster_name(wrong).expect_err(wrong).code(), ErrorCode::ValueInvalid);
        }
    }
}
