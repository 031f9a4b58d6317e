/** What one partition holds of the budget, in bytes of records as they came. */
export class BudgetAccount {
  /** Handed over, and not given back as credit. */
  queued = 0;
  /** Asked for, or answered and not yet handed over. */
  expected = 0;
  /** Whether the partition is being fetched; an account that is not only waits for its credit. */
  open = false;

  get used(): number {
    return this.queued + this.expected;
  }
}

/**
 * Divides `queued.max.messages.kbytes` between partitions. Half of it is shared out evenly: no other partition can take
 * that part away, however many are paused or slow. The other half is lent to partitions that are behind; each may hold at
 * most as much of it as is still free, so one partition alone can use three quarters of everything, and there is always
 * something left for the next one.
 *
 * The sum stays within the limit, but for what cannot be known before: batches that are larger than what was asked for.
 */
export class FetchBudget {
  readonly #limit: number;
  readonly #accounts = new Map<string, BudgetAccount>();
  #open = 0;
  #borrowed = 0;
  #queued = 0;

  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  /** What was handed over and is not given back, of all partitions together. */
  get queued(): number {
    return this.#queued;
  }

  /** What all partitions hold together. */
  get used(): number {
    let used = 0;
    for (const account of this.#accounts.values()) used += account.used;
    return used;
  }

  /** The account of a partition whose fetching begins. Bytes of an earlier time that are still out stay in it. */
  open(key: string): BudgetAccount {
    let account = this.#accounts.get(key);
    if (account === undefined) {
      account = new BudgetAccount();
      this.#accounts.set(key, account);
    }
    if (!account.open) {
      account.open = true;
      this.#open += 1;
      this.#recount();
    }
    return account;
  }

  /** Fetching has ended; what was handed over is still to be given back. */
  close(key: string): void {
    const account = this.#accounts.get(key);
    if (account === undefined || !account.open) return;
    account.open = false;
    account.expected = 0;
    this.#open -= 1;
    if (account.queued === 0) this.#accounts.delete(key);
    this.#recount();
  }

  expect(account: BudgetAccount, bytes: number): void {
    this.#change(account, 0, bytes);
  }

  unexpect(account: BudgetAccount, bytes: number): void {
    this.#change(account, 0, -Math.min(bytes, account.expected));
  }

  queue(account: BudgetAccount, bytes: number): void {
    this.#change(account, bytes, 0);
  }

  /** Bytes come back, perhaps of a partition that is not fetched any more. Says whether that was one that is. */
  credit(key: string, bytes: number): boolean {
    const account = this.#accounts.get(key);
    if (account === undefined) return false;
    this.#change(account, -Math.min(bytes, account.queued), 0);
    if (!account.open && account.used === 0) this.#accounts.delete(key);
    return account.open;
  }

  /** How much a partition may hold, what it holds already included. One that is `behind` may borrow. */
  allowance(account: BudgetAccount, behind: boolean): number {
    const reserve = this.#reserve;
    if (!behind) return reserve;
    const own = Math.max(0, account.used - reserve);
    const free = Math.max(0, this.#limit / 2 - this.#borrowed);
    return reserve + (own + free) / 2;
  }

  get #reserve(): number {
    return Math.floor(this.#limit / 2 / Math.max(1, this.#open));
  }

  #borrowedBy(account: BudgetAccount): number {
    return Math.max(0, account.used - (account.open ? this.#reserve : 0));
  }

  #change(account: BudgetAccount, queued: number, expected: number): void {
    this.#borrowed -= this.#borrowedBy(account);
    account.queued += queued;
    this.#queued += queued;
    account.expected += expected;
    this.#borrowed += this.#borrowedBy(account);
  }

  #recount(): void {
    this.#borrowed = 0;
    for (const account of this.#accounts.values()) this.#borrowed += this.#borrowedBy(account);
  }
}
