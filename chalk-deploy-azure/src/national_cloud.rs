//! The clouds of Azure that are apart from each other: their directories, their accounts and their hosts are their own.

/// One of Azure's clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum NationalCloud {
    /// Azure.
    #[default]
    Public,
    /// Azure Government, of the United States.
    UsGovernment,
    /// Azure operated by 21Vianet in China.
    China,
}

impl NationalCloud {
    /// Where Entra ID gives tokens ("National clouds" of the identity platform's documentation).
    pub(crate) const fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::UsGovernment => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }

    /// Where Azure Resource Manager is.
    pub(crate) const fn management(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::UsGovernment => "https://management.usgovcloudapi.net",
            Self::China => "https://management.chinacloudapi.cn",
        }
    }

    /// How the hosts of Blob Storage end.
    pub(crate) const fn blob_suffix(self) -> &'static str {
        match self {
            Self::Public => ".blob.core.windows.net",
            Self::UsGovernment => ".blob.core.usgovcloudapi.net",
            Self::China => ".blob.core.chinacloudapi.cn",
        }
    }

    /// How the login servers of registries end.
    pub(crate) const fn registry_suffix(self) -> &'static str {
        match self {
            Self::Public => ".azurecr.io",
            Self::UsGovernment => ".azurecr.us",
            Self::China => ".azurecr.cn",
        }
    }

    /// The cloud whose authority this is (`AZURE_AUTHORITY_HOST`, with or without the scheme and a slash at the end).
    pub(crate) fn of_authority(host: &str) -> Option<Self> {
        let host = host.trim_end_matches('/');
        let host = host.strip_prefix("https://").unwrap_or(host);
        [Self::Public, Self::UsGovernment, Self::China]
            .into_iter()
            .find(|cloud| cloud.authority().strip_prefix("https://").is_some_and(|own| own.eq_ignore_ascii_case(host)))
    }
}
