/** A store cannot be reached, or not in time; what was asked of it may not have happened. */
export class StoreUnavailable extends Error {
  override name = 'StoreUnavailable';
}
