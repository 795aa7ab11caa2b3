//! Does a store keep to conditions? Some that speak S3's language take the header and write all the same.

use super::keeper::Refused;
use super::store::{Put, Store, StoreError, Tag, When};

/// The object that is tried with.
const NAME: &str = "portcullis.probe";
/// A version that no object has.
const NEVER: &str = "\"00000000000000000000000000000000\"";
/// How often a conflict is met before it counts as a fault.
const TRIES: usize = 8;

/// Tries the store: a second object of one name must be refused, and so must one in the place of a version that never was.
///
/// # Errors
/// When the store does not answer, or writes what it must not.
pub(super) async fn probe<S: Store>(store: &S) -> Result<(), Refused> {
    // One that an earlier probe left proves the same.
    for _ in 0..2 {
        match write(store, When::Absent).await? {
            Put::Written(_) => {}
            _ => return versions(store).await,
        }
    }
    Err(Refused::Unsound {
        place: store.place(NAME),
        why: "it wrote an object that was there though it was asked not to (`If-None-Match: *`)".to_owned(),
    })
}

async fn versions<S: Store>(store: &S) -> Result<(), Refused> {
    match write(store, When::Is(Tag(NEVER.to_owned()))).await? {
        Put::Written(_) => Err(Refused::Unsound {
            place: store.place(NAME),
            why: "it wrote over another version than it was asked to (`If-Match`)".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Writes on a condition. Others may probe at the same time.
async fn write<S: Store>(store: &S, when: When) -> Result<Put, Refused> {
    for _ in 0..TRIES {
        let put = store.put(NAME, b"{}\n".to_vec(), when.clone()).await.map_err(Refused::Store)?;
        if put != Put::Conflict {
            return Ok(put);
        }
    }
    Err(Refused::Store(StoreError {
        doing: format!("writing {}", store.place(NAME)),
        code: None,
        detail: "others write at the same time, again and again".to_owned(),
        hint: Some("try again".to_owned()),
        passing: true,
    }))
}
