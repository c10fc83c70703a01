//! The migration on a throwaway database: `cargo test`.

use lockgate::{
    migration::Direction,
    testing::{Database, Plugin, Result},
};

#[tokio::test]
async fn up_does_its_work_and_down_leaves_nothing() -> Result<()> {
    let database = Database::start().await?;
    let plugin = Plugin::build(env!("CARGO_MANIFEST_DIR")).await?;
    let trial = plugin.on(&database);

    trial.preflight().await?.is_clean();
    trial.up().await?;
    assert_eq!(database.rows("SELECT line FROM {{name}}_lines").await?, [["hello"]]);
    trial.verify(Direction::Up).await?.is_clean();

    trial.down().await?;
    trial.left_nothing_behind().await
}
