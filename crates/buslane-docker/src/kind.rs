//! What an event is about, and what happened: open lists of names.

use std::fmt;

/// Makes an enum of the names that are known, with the others in a variant of their own.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name<'a> {
            $($(#[$variant_doc])* $variant,)*
            /// A name that this version of the crate does not know.
            Other(&'a str),
        }

        impl<'a> $name<'a> {
            /// Returns the value for a name. An unknown name becomes `Other`.
            #[must_use]
            pub fn from_name(name: &'a str) -> Self {
                match name {
                    $($text => Self::$variant,)*
                    _ => Self::Other(name),
                }
            }

            /// Returns the name that the engine uses.
            #[must_use]
            pub const fn as_str(self) -> &'a str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(name) => name,
                }
            }
        }

        impl fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

names! {
    /// The kind of object that an event is about.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::Kind;
    /// assert_eq!(Kind::from_name("container"), Kind::Container);
    /// assert_eq!(Kind::from_name("machine"), Kind::Other("machine"));
    /// assert_eq!(Kind::Volume.to_string(), "volume");
    /// ```
    Kind {
        /// The build cache.
        Builder = "builder",
        /// A configuration of a swarm.
        Config = "config",
        /// A container.
        Container = "container",
        /// The engine itself.
        Daemon = "daemon",
        /// An image.
        Image = "image",
        /// A network.
        Network = "network",
        /// A node of a swarm.
        Node = "node",
        /// A plugin.
        Plugin = "plugin",
        /// A pod of Podman.
        Pod = "pod",
        /// A secret of a swarm.
        Secret = "secret",
        /// A service of a swarm.
        Service = "service",
        /// A volume.
        Volume = "volume",
    }
}

names! {
    /// What happened to the object of an event.
    ///
    /// # Examples
    /// ```
    /// use buslane_docker::Action;
    /// assert_eq!(Action::from_name("die"), Action::Die);
    /// assert_eq!(Action::from_name("levitate"), Action::Other("levitate"));
    /// assert_eq!(Action::ExecStart.as_str(), "exec_start");
    /// ```
    Action {
        /// A stream was attached to a container.
        Attach = "attach",
        /// A path was copied out of a container.
        ArchivePath = "archive-path",
        /// A checkpoint of a container was made.
        Checkpoint = "checkpoint",
        /// A container of Podman was cleaned up.
        Cleanup = "cleanup",
        /// An image was made from a container.
        Commit = "commit",
        /// A container was connected to a network.
        Connect = "connect",
        /// A file was copied.
        Copy = "copy",
        /// An object was created.
        Create = "create",
        /// An object was deleted.
        Delete = "delete",
        /// A container was destroyed.
        Destroy = "destroy",
        /// A stream was detached from a container.
        Detach = "detach",
        /// The main process of a container has ended.
        Die = "die",
        /// A plugin was disabled.
        Disable = "disable",
        /// A container was disconnected from a network.
        Disconnect = "disconnect",
        /// A plugin was enabled.
        Enable = "enable",
        /// A command was prepared in a container. The data is the command.
        ExecCreate = "exec_create",
        /// A stream was detached from a command in a container.
        ExecDetach = "exec_detach",
        /// A command in a container has ended.
        ExecDie = "exec_die",
        /// A command was started in a container. The data is the command.
        ExecStart = "exec_start",
        /// A container was exported.
        Export = "export",
        /// Files were extracted into a container.
        ExtractToDir = "extract-to-dir",
        /// The health of a container was checked. The data is the result.
        HealthStatus = "health_status",
        /// An image was imported.
        Import = "import",
        /// A container of Podman was initialized.
        Init = "init",
        /// A signal was sent to a container.
        Kill = "kill",
        /// Images were loaded.
        Load = "load",
        /// A volume was mounted.
        Mount = "mount",
        /// A container ran out of memory.
        Oom = "oom",
        /// A container was paused.
        Pause = "pause",
        /// Unused objects were removed.
        Prune = "prune",
        /// An image or a plugin was pulled.
        Pull = "pull",
        /// An image or a plugin was pushed.
        Push = "push",
        /// The engine has read its settings again.
        Reload = "reload",
        /// An object was removed.
        Remove = "remove",
        /// A container was renamed.
        Rename = "rename",
        /// The terminal of a container was resized.
        Resize = "resize",
        /// A container was restarted.
        Restart = "restart",
        /// Images were saved.
        Save = "save",
        /// A container was started.
        Start = "start",
        /// A container was stopped.
        Stop = "stop",
        /// An image was tagged.
        Tag = "tag",
        /// The processes of a container were listed.
        Top = "top",
        /// A volume was unmounted.
        Unmount = "unmount",
        /// A container was resumed.
        Unpause = "unpause",
        /// A tag was removed from an image.
        Untag = "untag",
        /// An object was updated.
        Update = "update",
    }
}

/// Where an event comes from.
///
/// # Examples
/// ```
/// use buslane_docker::Scope;
/// assert_eq!(Scope::Swarm.to_string(), "swarm");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scope {
    /// One engine.
    Local,
    /// The swarm that the engine belongs to.
    Swarm,
}

impl Scope {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "local" => Some(Self::Local),
            "swarm" => Some(Self::Swarm),
            _ => None,
        }
    }

    /// Returns the name that the engine uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Swarm => "swarm",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
