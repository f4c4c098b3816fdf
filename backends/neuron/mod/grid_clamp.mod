TITLE Current of a source into one cell: a level from one step of the time grid to the next

COMMENT
The source says in two vectors, before each run, in which steps its current changes, and to what.
All cells of a source share the vectors. `target` is a neuron on the time grid, which takes the sum
of all its currents and clears it after each step (kept = 1), or the amplitude of an IClamp
(kept = 0).
ENDCOMMENT

NEURON {
    POINT_PROCESS GridClamp
    RANGE grid, kept
    POINTER target
}

PARAMETER {
    grid = 0.1 (ms)           : time step
    kept = 1
}

ASSIGNED {
    target (nA)
    level (nA)                : at present
    index                     : of it
    steps
    levels
}

INITIAL {
    index = 0
}

BEFORE BREAKPOINT {           : in the middle of a step; NEURON comes here at t = 0 too
    if (t > 0.25 * grid) {
        level = 0
VERBATIM
        // here and not in a procedure, which would not know for which cell it is called
        IvocVect* changes = *(IvocVect**)(&steps);
        const int n = changes ? vector_capacity(changes) : 0;
        if (n) {
            const double* step = vector_vec(changes);
            int i = (int)index;
            while (i + 1 < n && step[i + 1] * grid < t) {
                ++i;
            }
            index = i;
            level = vector_vec(*(IvocVect**)(&levels))[i];
        }
ENDVERBATIM
        target = kept * target + level
    }
}

PROCEDURE play() {            : a vector of steps and one of levels, which must live as long
VERBATIM
    *(void**)(&steps) = (void*)vector_arg(1);
    *(void**)(&levels) = (void*)vector_arg(2);
    index = 0;
ENDVERBATIM
}
