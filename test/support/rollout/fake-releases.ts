/** What the state folder of a simulated node says of its releases, as src/workers/releases keeps it. */
const provenMax = 3;

interface Kept {
	/** The revision that the workers were put back on; null: they start what the file names. */
	pin: string | null;
	/** What a step has begun to start, until it ends. */
	step: { pin: string | null } | null;
	/** Revisions that served here as a whole set, newest first. */
	proven: string[];
}

const nothingKept: Kept = { pin: null, step: null, proven: [] };

export class FakeReleases {
	/** The revision that the node's file names now; no rollout has to have asked for it. */
	deployed = 'v1';
	/** Revisions whose files are gone. */
	readonly gone = new Set<string>();
	#kept = nothingKept;
	#copy = nothingKept;

	get pinned(): string | null {
		return this.#kept.pin;
	}

	/** The revision that any start brings up now. */
	get next(): string {
		const { step, pin } = this.#kept;
		return (step ? step.pin : pin) ?? this.deployed;
	}

	isInUse(revision: string): boolean {
		return revision === this.deployed || revision === this.next || revision === this.pinned;
	}

	/** The file names it from now on, and it is there. */
	deploy(revision: string): void {
		this.deployed = revision;
		this.gone.delete(revision);
	}

	prove(revision: string): void {
		const proven = [revision, ...this.#kept.proven.filter((one) => one !== revision)].slice(0, provenMax);
		this.#kept = { ...this.#kept, proven };
	}

	/** Stored before the first worker of the step runs. */
	begin(pin: string | null): void {
		this.#kept = { ...this.#kept, step: { pin } };
	}

	/** The step ended with the workers on the release that it began. */
	settle(): void {
		const { step, pin } = this.#kept;
		this.#kept = { ...this.#kept, pin: step ? step.pin : pin, step: null };
	}

	/** The step changed nothing; `otherwise` is where workers stay that were not put back before. */
	withdraw(otherwise: string | null): void {
		this.#kept = {
			...this.#kept,
			pin: this.#kept.pin ?? otherwise,
			step: null,
		};
	}

	/** Why the workers cannot go back to this; null: they can. */
	whyNot(revision: string): string | null {
		if (this.gone.has(revision)) return 'it is gone';
		return this.#kept.proven.includes(revision) ? null : 'this node does not keep it as a release that it has proven';
	}

	/** The state folder is lost, or copied, or replaced by its copy. */
	lose(): void {
		this.#kept = nothingKept;
	}

	backUp(): void {
		this.#copy = this.#kept;
	}

	restore(): void {
		this.#kept = this.#copy;
	}
}
