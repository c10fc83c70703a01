//! The server that a copy is made on, and who works there.

use super::{Place, roles, roles::Roles};
use crate::{
    config::Config,
    error::{Error, Finding, Result, Severity},
    postgres::{Server as TargetServer, Session, Target},
    throwaway::{Pace, SUPERUSER, Server},
};

/// A server for copies. One that is a throwaway itself ends with this value or with the process, however that ends.
pub(super) struct Site {
    pub(super) place: Place,
    /// Who makes the copies. The database is the one that is copied, by its name.
    pub(super) maker: Target,
    /// Who migrates them. The same.
    pub(super) runner: Target,
    server: Option<Server>,
}

/// Where a copy is to be made.
#[derive(Debug, Clone)]
pub enum On {
    /// A database of its own on the target's server.
    Scratch,
    /// A throwaway server from this machine's programs.
    Embedded,
    /// A throwaway server in a container.
    Container,
    /// A database of its own on this server.
    Server(Box<Target>),
}

impl On {
    /// What it is called in what a rehearsal tells.
    pub fn place(&self) -> Place {
        match self {
            Self::Scratch => Place::Scratch,
            Self::Embedded => Place::Embedded,
            Self::Container => Place::Container,
            Self::Server(_) => Place::Server,
        }
    }

    /// Reads `scratch`, `embedded`, `container` or a URL.
    ///
    /// # Errors
    /// [`Error::Configuration`] for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "scratch" => Ok(Self::Scratch),
            "embedded" => Ok(Self::Embedded),
            "container" => Ok(Self::Container),
            url if url.contains("://") => Ok(Self::Server(Box::new(Config::target_of(url, "`--on`")?))),
            other => Err(Error::configuration(
                format!("`{other}` is no place to rehearse on"),
                "say scratch, embedded, container, or the URL of a server: postgres://user@host/postgres",
            )),
        }
    }
}

impl Site {
    /// Opens it; a throwaway server is started, in a container one of this major version.
    ///
    /// # Errors
    /// When there is no such server.
    pub(super) async fn open(config: &Config, on: &On, major: u32) -> Result<Self> {
        let database = &config.target.database;
        let of_server = |place, server: Server| {
            let maker = server.as_superuser(database);
            Self { place, runner: maker.clone(), maker, server: Some(server) }
        };
        Ok(match on {
            On::Scratch => {
                let (maker, runner) = (config.target.clone(), config.target.clone());
                Self { place: Place::Scratch, maker, runner, server: None }
            }
            On::Server(target) => {
                // The names of the copies begin with that of the database.
                let maker = target.with_database(database);
                let runner = Target { role: config.target.role.clone(), ..maker.clone() };
                Self { place: Place::Server, maker, runner, server: None }
            }
            On::Embedded => of_server(Place::Embedded, Server::embedded(config.pg_bin.as_deref(), Pace::Real).await?),
            On::Container => {
                of_server(Place::Container, Server::container(Pace::Real, &format!("postgres:{major}")).await?)
            }
        })
    }

    /// Who may read all rows of the copies: on the target's server whoever reads backups, elsewhere whoever makes the copies.
    pub(super) fn reader(&self, config: &Config) -> Target {
        match (self.place, &config.backup.role) {
            (Place::Scratch, Some(role)) => Target { role: Some(role.clone()), ..self.maker.clone() },
            _ => self.maker.clone(),
        }
    }

    /// Whether nobody but this process uses the server.
    pub(super) fn is_private(&self) -> bool {
        self.server.is_some()
    }

    /// Where whoever migrates there may do what the same role may not do on the target.
    pub(super) fn difference(&self, target: &TargetServer) -> Option<Finding> {
        (self.is_private() && self.runner.user == SUPERUSER && !target.superuser).then(|| {
            let message = format!(
                "the role `{SUPERUSER}` is a superuser on the rehearsal's server and none on the target: that it may do something says nothing"
            );
            Finding::new(Severity::Warn, "other-rights", message)
        })
    }

    /// Makes the roles of the target's server on one that is private, and lets the same one migrate there.
    ///
    /// # Errors
    /// When the server does not let them be made.
    pub(super) async fn settle(&mut self, admin: &Session, config: &Config, roles: &Roles) -> Result<()> {
        if !self.is_private() {
            return Ok(());
        }
        roles::make(admin, roles).await?;
        let user = &config.target.user;
        if user != SUPERUSER {
            roles::let_in(admin, user, self.maker.given_password()).await?;
        }
        let role = config.target.role.clone();
        self.runner = Target { user: user.clone(), role, ..self.maker.clone() };
        Ok(())
    }
}
