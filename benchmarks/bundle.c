/* The reprojection errors of bundle.py and their derivatives, written by hand.
 *
 * It computes sixteen observations at a time: every inner loop runs over the lanes of one block, and
 * gcc turns it into vector instructions, including the sines and cosines where -ffast-math lets it
 * use the vector library. The derivative of a rotation in its vector is that of G. Gallego and
 * A. Yezzi, A compact formula for the derivative of a 3-D rotation in exponential coordinates (2015).
 */

#include <math.h>
#include <stddef.h>

enum { INPUTS = 15, OUTPUTS = 2, LANES = 16 };

typedef double In[INPUTS + OUTPUTS][LANES];
typedef double Out[OUTPUTS][INPUTS][LANES];

/* One observation in lane l, given the sine and the cosine of its angle. */
static inline void one(int l, In in, double angle, double s, double c, Out out)
{
    const double r[3] = {in[0][l], in[1][l], in[2][l]};
    const double d[3] = {in[11][l] - in[3][l], in[12][l] - in[4][l], in[13][l] - in[5][l]};
    const double focal = in[6][l], k1 = in[9][l], k2 = in[10][l], weight = in[14][l];
    const double inverse = 1.0 / angle, e = 1.0 - c;
    const double a = r[0] * inverse, b = r[1] * inverse, g = r[2] * inverse;
    const double R[3][3] = {
        {c + e * a * a, e * a * b - s * g, e * a * g + s * b},
        {e * b * a + s * g, c + e * b * b, e * b * g - s * a},
        {e * g * a - s * b, e * g * b + s * a, c + e * g * g},
    };
    const double x = R[0][0] * d[0] + R[0][1] * d[1] + R[0][2] * d[2];
    const double y = R[1][0] * d[0] + R[1][1] * d[1] + R[1][2] * d[2];
    const double z = R[2][0] * d[0] + R[2][1] * d[1] + R[2][2] * d[2];

    const double nearness = 1.0 / z, u = x * nearness, v = y * nearness;
    const double square = u * u + v * v, radial = 1.0 + square * (k1 + square * k2);
    const double scale = weight * focal, slope = 2.0 * (k1 + 2.0 * square * k2);
    /* The errors in u and v, then in the rotated x, y and z. */
    const double uu = scale * (radial + u * slope * u), uv = scale * (u * slope * v);
    const double vv = scale * (radial + v * slope * v);
    const double in_xyz[2][3] = {
        {uu * nearness, uv * nearness, -(uu * u + uv * v) * nearness},
        {uv * nearness, vv * nearness, -(uv * u + vv * v) * nearness},
    };
    const double projected[2] = {u, v};
    const double centre[2] = {in[7][l], in[8][l]}, feature[2] = {in[15][l], in[16][l]};

    double turned[3][3]; /* the rotated point in each number of the rotation vector */
    const double rx[3] = {r[1] * z - r[2] * y, r[2] * x - r[0] * z, r[0] * y - r[1] * x};
    for (int i = 0; i < 3; i++) {
        const double m[3] = {(i == 0) - R[0][i], (i == 1) - R[1][i], (i == 2) - R[2][i]};
        const double w[3] = {
            r[1] * m[2] - r[2] * m[1], r[2] * m[0] - r[0] * m[2], r[0] * m[1] - r[1] * m[0],
        };
        turned[i][0] = (r[i] * rx[0] + w[1] * z - w[2] * y) * inverse * inverse;
        turned[i][1] = (r[i] * rx[1] + w[2] * x - w[0] * z) * inverse * inverse;
        turned[i][2] = (r[i] * rx[2] + w[0] * y - w[1] * x) * inverse * inverse;
    }
    for (int o = 0; o < OUTPUTS; o++) {
        for (int i = 0; i < 3; i++) {
            const double *q = in_xyz[o], *t = turned[i];
            const double point = q[0] * R[0][i] + q[1] * R[1][i] + q[2] * R[2][i];
            out[o][i][l] = q[0] * t[0] + q[1] * t[1] + q[2] * t[2];
            out[o][3 + i][l] = -point;
            out[o][11 + i][l] = point;
        }
        out[o][6][l] = weight * radial * projected[o];
        out[o][7][l] = o == 0 ? weight : 0.0;
        out[o][8][l] = o == 1 ? weight : 0.0;
        out[o][9][l] = scale * projected[o] * square;
        out[o][10][l] = scale * projected[o] * square * square;
        out[o][14][l] = focal * radial * projected[o] + centre[o] - feature[o];
    }
}

static void block(In in, Out out)
{
    double angle[LANES], s[LANES], c[LANES];
    for (int l = 0; l < LANES; l++)
        angle[l] = sqrt(in[0][l] * in[0][l] + in[1][l] * in[1][l] + in[2][l] * in[2][l]);
    for (int l = 0; l < LANES; l++) {
        s[l] = sin(angle[l]);
        c[l] = cos(angle[l]);
    }
    for (int l = 0; l < LANES; l++)
        one(l, in, angle[l], s[l], c[l], out);
}

/* Reads rows of inputs and features, and writes a matrix of OUTPUTS by INPUTS for each. */
void jacobians(const double *inputs, const double *features, size_t rows, double *matrices)
{
    In in;
    Out out;
    for (size_t first = 0; first < rows; first += LANES) {
        const size_t some = rows - first < LANES ? rows - first : LANES;
        for (size_t l = 0; l < LANES; l++) {
            const size_t row = first + (l < some ? l : some - 1);
            for (int i = 0; i < INPUTS; i++)
                in[i][l] = inputs[row * INPUTS + i];
            for (int o = 0; o < OUTPUTS; o++)
                in[INPUTS + o][l] = features[row * OUTPUTS + o];
        }
        block(in, out);
        for (size_t l = 0; l < some; l++)
            for (int o = 0; o < OUTPUTS; o++)
                for (int i = 0; i < INPUTS; i++)
                    matrices[((first + l) * OUTPUTS + o) * INPUTS + i] = out[o][i][l];
    }
}
