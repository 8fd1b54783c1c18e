/** Virtual time: what is due is run in order of time, then in the order in which it was asked for. */
export interface Due {
	at: number;
	order: number;
	run: (() => void) | null;
}

export class VirtualTime {
	now = 0;
	#order = 0;
	#heap: Due[] = [];

	/** Runs `run` after `delay` ms; the result can be cancelled by setting its `run` to null. */
	after(delay: number, run: () => void): Due {
		const due: Due = { at: this.now + Math.max(0, delay), order: this.#order, run };
		this.#order += 1;
		this.#push(due);
		return due;
	}

	/** Runs the next thing that is due; false when there is none before `until`. */
	advance(until: number): boolean {
		for (;;) {
			const top = this.#heap[0];
			if (!top || top.at > until) {
				this.now = Math.max(this.now, until);
				return false;
			}
			this.#pop();
			if (!top.run) continue;
			this.now = top.at;
			top.run();
			return true;
		}
	}

	#push(due: Due): void {
		const heap = this.#heap;
		let at = heap.length;
		heap.push(due);
		while (at > 0) {
			const parent = (at - 1) >> 1;
			const above = heap[parent] as Due;
			if (isBefore(above, due)) break;
			heap[at] = above;
			at = parent;
		}
		heap[at] = due;
	}

	#pop(): void {
		const heap = this.#heap;
		const last = heap.pop() as Due;
		if (heap.length === 0) return;
		let at = 0;
		for (;;) {
			let child = 2 * at + 1;
			if (child >= heap.length) break;
			const right = heap[child + 1];
			if (right && isBefore(right, heap[child] as Due)) child += 1;
			const below = heap[child] as Due;
			if (isBefore(last, below)) break;
			heap[at] = below;
			at = child;
		}
		heap[at] = last;
	}
}

function isBefore(a: Due, b: Due): boolean {
	return a.at < b.at || (a.at === b.at && a.order < b.order);
}
